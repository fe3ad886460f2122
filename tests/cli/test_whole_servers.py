"""Whole servers: one credential, users from a list, a file or a command, and what becomes of those that are gone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Command, Outcome, assert_one_error
from tests.corpus import plain_mail
from tests.proxy import cutting_proxy
from tests.secret import new_secret
from tests.servers import CyrusServer, DovecotServer, deliver


@dataclass
class Company:
    """A configuration with one server in it, and a vault."""

    command: Command
    server: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.directory / "passphrase").write_text(new_secret())
        self("init")

    @property
    def directory(self) -> Path:
        return self.command.cwd

    def of(self, server: DovecotServer | CyrusServer, port: int | None = None, **settings: Any) -> None:
        """Describe a server and its master."""
        name = server.master.name if isinstance(server, DovecotServer) else server.admin.name
        password = server.master.password if isinstance(server, DovecotServer) else server.admin.password
        (self.directory / "master").write_text(password)
        url = f"imap://{name}@127.0.0.1:{port or server.port}?tls=off"
        self.server = {"name": "mail", "url": url, "password_file": "master", **settings}

    def __call__(self, *arguments: str) -> Outcome:
        config = {
            "vault": {"url": f"file://{self.directory}/vault", "passphrase_file": "passphrase", "cache": "cache"},
            **({"servers": [self.server]} if self.server else {}),
            **self.more,
        }
        (self.directory / "restante.yaml").write_text(json.dumps(config))
        return self.command(*arguments, timeout=300)

    def backup(self, *arguments: str) -> Any:
        outcome = self("backup", "--json", *arguments)
        assert outcome.code in (0, 1), outcome
        return outcome.document


@pytest.fixture
def company(command: Command) -> Company:
    return Company(command)


def users(server: DovecotServer, count: int) -> list[str]:
    """Make accounts with one mail each."""
    names = [server.new_user().name for _ in range(count)]
    for number, name in enumerate(names):
        deliver(server, name, "INBOX", [plain_mail(number)])
    return names


@pytest.mark.parametrize("form", ["", "&master=*"], ids=["authorization identity", "user*master"])
def test_a_master_user_reads_every_account(company: Company, dovecot: DovecotServer, form: str) -> None:
    names = users(dovecot, 3)
    company.of(dovecot, users=names)
    company.server["url"] += form
    report = company.backup()
    assert report["status"] == "complete"
    assert sorted(account["account"] for account in report["accounts"]) == sorted(names)
    assert {account["messages"] for account in report["accounts"]} == {1}


def test_a_proxy_administrator_of_cyrus_reads_every_account(company: Company, cyrus: CyrusServer) -> None:
    names = [cyrus.new_user().name for _ in range(2)]
    company.of(cyrus, users=names)
    report = company.backup()
    assert report["status"] == "complete"
    assert sorted(account["account"] for account in report["accounts"]) == sorted(names)


def test_new_users_are_backed_up_and_vanished_ones_keep_their_snapshots_and_are_told_once(
    company: Company, dovecot: DovecotServer
) -> None:
    first, second, third = users(dovecot, 3)
    listed = company.directory / "users"
    listed.write_text(f"# who works here\n{first}\n\n{second}\n")
    company.of(dovecot, users_file="users")
    assert company.backup()["vanished"] == []
    time.sleep(1.1)  # which of two runs was later is told by the second
    listed.write_text(f"{second}\n{third}\n")
    outcome = company("backup", "--json")
    assert outcome.document["vanished"] == [first]
    assert f"note: {first} is no longer among the accounts; its snapshots stay" in outcome.err
    assert {account["account"] for account in outcome.document["accounts"]} == {second, third}
    time.sleep(1.1)
    assert company.backup()["vanished"] == []
    assert {shot["account"] for shot in company("snapshots", "--json").document} == {first, second, third}


def test_users_come_from_a_command_and_globs_choose_among_them(company: Company, dovecot: DovecotServer) -> None:
    names = users(dovecot, 3)
    (company.directory / "users").write_text("\n".join(names))
    command = f"cat {company.directory}/users"
    company.of(dovecot, users_command=command, only_users=[names[0], names[1]], exclude_users=[names[1]])
    company.server["account"] = "{user}@here"
    assert [account["account"] for account in company.backup()["accounts"]] == [f"{names[0]}@here"]


def test_roles_and_globs_choose_the_mailboxes(company: Company, dovecot: DovecotServer) -> None:
    (name,) = users(dovecot, 1)
    for mailbox in ("Junk", "Archive", "Projects/A"):
        deliver(dovecot, name, mailbox, [plain_mail(1)])
    company.of(dovecot, users=[name], exclude=["\\Junk", "Projects/*"])
    company.backup()
    listed = {box["mailbox"] for box in company("ls", name, "--json").document if box["messages"]}
    assert listed == {"INBOX", "Archive"}
    company.server |= {"only": ["inbox", "\\Archive"]}
    company.backup()
    assert {box["mailbox"] for box in company("ls", name, "--json").document} == {"INBOX", "Archive"}


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"users_command": "false"}, "users of mail failed"),
        ({"users_command": "true"}, "nothing names a user of mail"),
        ({"users_command": "printf '\\377\\n'"}, "the users of mail are not text in UTF-8"),
        ({"users_file": "absent"}, "cannot read the users of mail"),
    ],
)
def test_where_users_cannot_be_listed_nothing_is_done_and_nobody_is_called_gone(
    company: Company, dovecot: DovecotServer, settings: dict[str, Any], words: str
) -> None:
    company.of(dovecot, users=users(dovecot, 1))
    company.backup()
    del company.server["users"]
    company.server |= settings
    assert_one_error(company("backup", "--json"), 2, words)


def test_two_servers_with_one_account_name_are_told_apart_or_refused(company: Company, dovecot: DovecotServer) -> None:
    company.of(dovecot, users=users(dovecot, 1))
    twin = {**company.server, "name": "other"}
    company.more = {"servers": [company.server, twin]}
    assert_one_error(company("backup", "--json"), 2, "servers mail and other both have an account")
    company.more["servers"][1]["account"] = "{user}@other"
    assert len(company.backup()["accounts"]) == 2


def test_two_hundred_accounts_in_one_job_within_the_budget_of_connections(
    company: Company, start_dovecot: Callable[..., DovecotServer]
) -> None:
    server = start_dovecot()
    names = users(server, 200)
    lost, locked = names[17], names[101]
    deliver(server, lost, "Locked", [plain_mail(1)])
    locked_away = server.home(lost) / "Maildir" / ".Locked"
    for path in (*locked_away.iterdir(), locked_away):
        path.chmod(0)
    (server.directory / "users" / locked).unlink()
    with cutting_proxy(server.port, []) as proxy:
        company.of(server, proxy.port, users=names, accounts_at_once=5, connections=1)
        company.more = {"limits": {"accounts_at_once": 20}}
        outcome = company("backup", "--json")
        assert proxy.most_at_once < 10  # the proxy sees a connection end a moment after the next one begins
        assert proxy.connections >= 200
    assert outcome.code == 1
    wrong = {one["account"]: one for one in outcome.document["accounts"] if one["status"] != "complete"}
    assert set(wrong) == {lost, locked}
    assert wrong[locked]["status"] == "failed"
    assert [failure["mailbox"] for failure in wrong[lost]["failures"]] == ["Locked"]
