"""Logins at servers that take access tokens only: Microsoft 365's way and Google Workspace's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from imap.errors import LoginRefused
from imap.model import Endpoint, Login
from imap.session import open_session
from restante.tokens import GoogleTokens, MicrosoftTokens
from tests.cli.command import Command
from tests.cli.test_whole_servers import Company, users
from tests.secret import new_secret
from tests.servers import DovecotServer
from tests.servers.tokens import TokenServer, token_server


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[TokenServer]:
    folder = tmp_path / "tokens"
    folder.mkdir()
    folder.chmod(0o755)
    with token_server(folder) as server:
        yield server


@pytest.fixture
def company(command: Command) -> Company:
    return Company(command)


def microsoft(company: Company, tokens: TokenServer) -> dict[str, Any]:
    (company.directory / "client").write_text(tokens.client_secret)
    return {
        "tenant": "example.test", "client_id": "app", "client_secret_file": "client", "authority": tokens.authority,
        "ca": str(tokens.certificate.ca),
    }  # fmt: skip


def test_one_application_reads_all_mailboxes_of_microsoft_with_one_token(
    company: Company, tokens: TokenServer, start_dovecot: Callable[..., DovecotServer]
) -> None:
    server = start_dovecot(extra=tokens.dovecot(any_user=True))
    names = users(server, 3)
    url = f"imap://{{account}}@127.0.0.1:{server.port}?tls=off"
    company.server = {"name": "m365", "url": url, "users": names, "oauth2": {"microsoft": microsoft(company, tokens)}}
    report = company.backup()
    assert report["status"] == "complete"
    assert {account["messages"] for account in report["accounts"]} == {1}
    assert tokens.given == 1


def test_a_client_secret_that_has_expired_is_told_in_microsofts_words(
    company: Company, tokens: TokenServer, start_dovecot: Callable[..., DovecotServer]
) -> None:
    server = start_dovecot(extra=tokens.dovecot(any_user=True))
    (name,) = users(server, 1)
    told = microsoft(company, tokens)
    tokens.client_secret = new_secret()
    url = f"imap://{name.replace('@', '%40')}@127.0.0.1:{server.port}?tls=off"
    company.more = {"accounts": [{"name": name, "url": url, "oauth2": {"microsoft": told}}]}
    outcome = company("backup", "--json")
    assert outcome.code == 3
    (failure,) = outcome.document["accounts"][0]["failures"]
    assert "AADSTS7000215" in failure["reason"]
    assert "whether it has expired" in outcome.err


def test_a_service_account_of_google_reads_each_mailbox_in_its_users_name(
    company: Company, tokens: TokenServer, start_dovecot: Callable[..., DovecotServer]
) -> None:
    server = start_dovecot(extra=tokens.dovecot(any_user=False))
    names = users(server, 2)
    url = f"imap://{{account}}@127.0.0.1:{server.port}?tls=off"
    company.server = {
        "name": "google", "url": url, "users": names, "oauth2": {"google": {"key_file": str(tokens.google_key())}}
    }  # fmt: skip
    report = company.backup()
    assert report["status"] == "complete"
    assert sorted(tokens.good.values()) == sorted(names)
    tokens.delegated = False
    outcome = company("backup", "--json")
    assert outcome.code == 3
    reasons = {account["failures"][0]["reason"] for account in outcome.document["accounts"]}
    assert all("unauthorized" in reason for reason in reasons)


def test_tokens_are_kept_until_they_expire_and_renewed_when_the_server_refuses_them(
    tokens: TokenServer, start_dovecot: Callable[..., DovecotServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    server = start_dovecot(extra=tokens.dovecot(any_user=True))
    (name,) = users(server, 1)
    app = MicrosoftTokens(
        f"{tokens.authority}/example.test", "kept", "https://x.test/.default", lambda: tokens.client_secret,
        tokens.certificate.ca,
    )  # fmt: skip
    google = GoogleTokens(tokens.google_key(), name)
    for kept in (app, google):
        before = tokens.given
        endpoint = Endpoint("127.0.0.1", server.port, name, "off")
        login = Login(kept.get, oauth=True, renew=kept.renewed)
        open_session(endpoint, login).close()
        open_session(endpoint, login).close()
        assert tokens.given == before + 1
        tokens.revoke()
        open_session(endpoint, login).close()
        assert tokens.given == before + 2
        tokens.revoke()
        with pytest.raises(LoginRefused):
            open_session(endpoint, Login(kept.get, oauth=True))
    tokens.lives = 1
    short = MicrosoftTokens(
        f"{tokens.authority}/example.test", "short", "https://x.test/.default", lambda: tokens.client_secret,
        tokens.certificate.ca,
    )  # fmt: skip
    assert short.get() != short.get()
