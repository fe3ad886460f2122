"""Reaching a server and getting in, or being told clearly why not."""

from __future__ import annotations

import base64
import hashlib
import logging
import socket
import ssl
import time
from dataclasses import replace

import pytest

from imap.errors import BadUrl, CannotConnect, ConnectionLost, ImapError, LoginRefused, Throttled, UntrustedCertificate
from imap.model import Endpoint, Login
from imap.session import open_session
from imap.url import parse_url
from tests.imap.scripted import HANG_UP, PASSWORD, SILENCE, Reply, Script, scripted
from tests.secret import keep_secret, new_secret
from tests.servers import CyrusServer, DovecotServer

MINE = Login(lambda: PASSWORD)


def enter(url: str, password: str) -> list[str]:
    """Log in, look, and return the names of the mailboxes."""
    with open_session(parse_url(url), Login(lambda: password), timeout=20) as session:
        return [mailbox.name for mailbox in session.look()]


def refusal(endpoint: Endpoint | str, login: Login = MINE, *, timeout: float = 10) -> ImapError:
    """Return the error of a login that must fail; one line, and with a hint."""
    if isinstance(endpoint, str):
        endpoint = parse_url(endpoint)
    with pytest.raises(ImapError) as caught:
        open_session(endpoint, login, timeout=timeout)
    assert "\n" not in caught.value.message
    return caught.value


def pin(server: DovecotServer) -> str:
    """Return the fingerprint of the certificate the server shows."""
    pem = server.certificate.certificate.read_text().split("-----END CERTIFICATE-----")[0]
    der = ssl.PEM_cert_to_DER_cert(pem + "-----END CERTIFICATE-----\n")
    return hashlib.sha256(der).hexdigest()


def test_an_account_is_reached_over_tls_starttls_and_in_plain_text(dovecot: DovecotServer) -> None:
    user = dovecot.new_user()
    for url in (dovecot.imaps_url(user.name), dovecot.starttls_url(user.name), dovecot.url(user.name)):
        assert enter(url, user.password) == ["INBOX"]


def test_a_pinned_certificate_needs_no_authority(dovecot: DovecotServer) -> None:
    user = dovecot.new_user()
    for url in (dovecot.imaps_url(user.name), dovecot.starttls_url(user.name)):
        pinned = url.partition("?")[0] + "?fingerprint=" + pin(dovecot)
        assert enter(pinned, user.password) == ["INBOX"]


def test_another_certificate_than_the_pinned_one_is_refused_before_the_password_is_sent(dovecot: DovecotServer) -> None:
    user = dovecot.new_user()
    asked: list[str] = []

    def secret() -> str:
        asked.append(user.name)
        return user.password

    for url in (dovecot.imaps_url(user.name), dovecot.starttls_url(user.name)):
        error = refusal(url.partition("?")[0] + "?fingerprint=" + "00" * 32, Login(secret))
        assert isinstance(error, UntrustedCertificate)
        assert pin(dovecot) in error.message
    assert not asked


def test_a_certificate_of_an_unknown_authority_is_refused_with_both_remedies(dovecot: DovecotServer) -> None:
    for url in (dovecot.imaps_url("anna"), dovecot.starttls_url("anna")):
        error = refusal(url.partition("?")[0])
        assert isinstance(error, UntrustedCertificate)
        assert "?ca=" in error.hint
        assert "?fingerprint=" in error.hint


def test_a_certificate_for_another_name_is_refused(dovecot: DovecotServer) -> None:
    certificate = dovecot.certificate
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)
    with scripted(Script(tls=context)) as server:
        endpoint = replace(server.endpoint(), tls="implicit", ca=str(dovecot.ca))
        open_session(endpoint, MINE, timeout=10).close()
    # The same machine under an address that the certificate does not hold.
    with scripted(Script(tls=context), host="127.0.0.2") as server:
        error = refusal(replace(server.endpoint(), tls="implicit", ca=str(dovecot.ca)))
    assert isinstance(error, UntrustedCertificate)
    assert "another host name" in error.message


def test_a_missing_ca_file_is_named() -> None:
    error = refusal("imaps://anna@127.0.0.1?ca=/nowhere/ca.pem")
    assert isinstance(error, BadUrl)
    assert "/nowhere/ca.pem" in error.message


def test_a_server_without_starttls_gets_no_password() -> None:
    with scripted(Script({"STARTTLS": [b"TAG BAD what?\r\n"]})) as server:
        error = refusal(replace(server.endpoint(), tls="starttls"))
        assert isinstance(error, CannotConnect)
        assert "?tls=off" in error.hint
        assert server.heard == ["STARTTLS"]


def test_what_follows_starttls_in_plain_text_is_not_believed(dovecot: DovecotServer) -> None:
    with scripted(Script({"STARTTLS": [b"TAG OK go\r\n* OK [CAPABILITY IMAP4rev1 X-EVIL] hi\r\n"]})) as server:
        endpoint = replace(server.endpoint(), tls="starttls", ca=str(dovecot.ca))
        assert isinstance(refusal(endpoint, timeout=2), CannotConnect)
        assert server.heard[0] == "STARTTLS"
        assert not [command for command in server.heard if PASSWORD in command]


def test_a_wrong_password_is_one_clear_line(dovecot: DovecotServer, cyrus: CyrusServer) -> None:
    for server in (dovecot, cyrus):
        user, wrong = server.new_user(), new_secret()
        error = refusal(server.url(user.name), Login(lambda wrong=wrong: wrong))  # type: ignore[misc]
        assert isinstance(error, LoginRefused)
        assert not error.retryable
        assert user.name in error.message
        assert "password" in error.hint


def test_a_server_that_repeats_the_password_does_not_make_us_repeat_it() -> None:
    echoes: list[bytes] = [b"TAG BAD no such command: LOGIN anna %b\r\n", b"* BYE not with %b\r\n" + HANG_UP]
    for echo in echoes:
        with scripted(Script({"LOGIN": [echo % PASSWORD.encode()]})) as server:
            assert PASSWORD not in str(refusal(server.endpoint()))


def test_an_unknown_host_a_closed_port_and_a_silent_one_are_told_apart() -> None:
    assert "unknown host" in refusal("imaps://anna@no-such-host.invalid").message
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    assert "within 1 seconds" in refusal(f"imap://anna@127.0.0.1:{port}?tls=off", timeout=1).message
    assert "within 1 seconds" in refusal(f"imaps://anna@127.0.0.1:{port}", timeout=1).message
    free.close()
    assert "refuses connections" in refusal(f"imap://anna@127.0.0.1:{port}?tls=off").message


@pytest.mark.parametrize(
    "greeting",
    [
        b"220 mail.test ESMTP\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46" * 9 + b"\r\n",
        HANG_UP,
        b"* OK no line end" + HANG_UP,
        b"\r\n" * 9,
    ],
    ids=["smtp", "binary", "nothing", "cut", "blank"],
)
def test_an_answer_that_is_not_imap_is_called_so(greeting: bytes) -> None:
    with scripted(Script(greeting=greeting + SILENCE)) as server:
        error = refusal(server.endpoint(), timeout=1)
    assert isinstance(error, (CannotConnect, ConnectionLost))
    assert error.retryable


def test_tls_to_a_plain_text_port_is_explained(dovecot: DovecotServer) -> None:
    error = refusal(f"imaps://anna@127.0.0.1:{dovecot.port}")
    assert "does not speak TLS" in error.message
    assert "imap://" in error.hint


@pytest.mark.parametrize(
    "reply, wait",
    [
        (b"TAG NO [LIMIT] later\r\n", None),
        (b"TAG NO [UNAVAILABLE] Temporary authentication failure\r\n", None),
        (b"TAG NO [INUSE] locked\r\n", None),
        (b"TAG NO [ALERT] Too many simultaneous connections. (Failure)\r\n", None),
        (b"TAG BAD Request is throttled. Suggested Backoff Time: 299961 ms\r\n", 299.961),
        (b"TAG BAD User is authenticated but not connected.\r\n", None),
        (b"* BYE Too many connections\r\n" + HANG_UP, None),
    ],
)
def test_a_server_that_asks_for_patience_is_understood(reply: bytes, wait: float | None) -> None:
    with scripted(Script({"LOGIN": [reply]})) as server:
        error = refusal(server.endpoint())
    assert isinstance(error, Throttled)
    assert error.wait == wait


@pytest.mark.parametrize("reply", [b"* BYE maintenance\r\n" + HANG_UP, HANG_UP, SILENCE, b"garbage\r\n"])
def test_a_server_lost_during_login_is_worth_another_try(reply: bytes) -> None:
    with scripted(Script({"LOGIN": [reply]})) as server:
        error = refusal(server.endpoint(), timeout=1)
    assert isinstance(error, ConnectionLost)
    assert error.retryable


def test_a_greeting_that_turns_us_away_is_retryable() -> None:
    with scripted(Script(greeting=b"* BYE Too many connections from you\r\n" + HANG_UP)) as server:
        assert isinstance(refusal(server.endpoint()), Throttled)
    with scripted(Script(greeting=b"* BYE going down\r\n" + HANG_UP)) as server:
        error = refusal(server.endpoint())
    assert isinstance(error, CannotConnect)
    assert "going down" in error.message


def test_a_master_logs_in_for_a_user_in_both_ways(dovecot: DovecotServer, cyrus: CyrusServer) -> None:
    user = dovecot.new_user()
    with dovecot.open(user.name) as raw:
        raw.create("Mine")
    for form in ("&master=*", ""):
        url = f"imap://{dovecot.master.name}@127.0.0.1:{dovecot.port}?tls=off&as={user.name}{form}"
        assert enter(url, dovecot.master.password) == ["INBOX", "Mine"]
    user = cyrus.new_user()
    with cyrus.open(user.name) as raw:
        raw.create("Mine")
    url = f"imap://{cyrus.admin.name}@127.0.0.1:{cyrus.port}?tls=off&as={user.name}"
    assert enter(url, cyrus.admin.password) == ["INBOX", "Mine"]


@pytest.mark.parametrize("shape", ['quo"te', "back\\slash", "späte Grüße 🎉", "{5}", " ", "line\r\nend", "x" * 2000])
@pytest.mark.parametrize("capabilities", [b"IMAP4rev1", b"IMAP4rev1 LITERAL+", b"IMAP4rev1 LITERAL-"])
def test_a_password_arrives_octet_for_octet(shape: str, capabilities: bytes) -> None:
    password = keep_secret(shape + new_secret())
    greeting = b"* OK [CAPABILITY " + capabilities + b"] hi\r\n"
    with scripted(Script(greeting=greeting, capabilities=capabilities)) as server:
        open_session(server.endpoint(), Login(lambda: password), timeout=10).close()
        [login] = server.commands("LOGIN")
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    assert login.endswith(f'"{quoted}"') or server.literals == [password.encode()]


def test_a_non_ascii_password_goes_as_plain_where_that_is_offered(dovecot: DovecotServer) -> None:
    user = dovecot.new_user()
    password = keep_secret('pä"ß\\wort-' + user.password)
    line = dovecot.directory / "users" / user.name
    line.write_text(line.read_text().replace(user.password, password))
    assert enter(dovecot.url(user.name), password) == ["INBOX"]


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_token_goes_out_as_the_mechanism_wants_it(mechanism: str) -> None:
    capabilities = f"IMAP4rev1 SASL-IR AUTH={mechanism}".encode()
    script = Script(greeting=b"* OK [CAPABILITY " + capabilities + b"] hi\r\n", capabilities=capabilities)
    token = new_secret()
    with scripted(script) as server:
        open_session(server.endpoint(), Login(lambda: token, oauth=True), timeout=10).close()
        [command] = server.commands("AUTHENTICATE")
    name, initial = command.split(" ")[1:]
    assert name == mechanism
    sent = base64.b64decode(initial)
    assert b"auth=Bearer " + token.encode() + b"\1\1" in sent
    assert sent.startswith(b"user=anna\1" if mechanism == "XOAUTH2" else b"n,a=anna,\1host=127.0.0.1\1port=")


@pytest.mark.parametrize("mechanism, answer", [("XOAUTH2", ""), ("OAUTHBEARER", "AQ==")])
def test_a_refused_token_ends_in_one_clear_line(mechanism: str, answer: str) -> None:
    capabilities = f"IMAP4rev1 SASL-IR AUTH={mechanism}".encode()
    rules: dict[str, list[Reply]] = {
        "^AUTHENTICATE": [b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n"],
        f"^{answer}$": [b"R1 NO [AUTHENTICATIONFAILED] token expired\r\n"],
    }
    with scripted(Script(rules, b"* OK [CAPABILITY " + capabilities + b"] hi\r\n")) as server:
        error = refusal(server.endpoint(), Login(lambda: PASSWORD, oauth=True))
    assert isinstance(error, LoginRefused)
    assert "token" in error.hint


def test_a_server_that_disables_login_says_what_else_to_do() -> None:
    with scripted(Script(greeting=b"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED STARTTLS] hi\r\n")) as server:
        error = refusal(server.endpoint())
        assert isinstance(error, LoginRefused)
        assert "STARTTLS" in error.hint
        assert not server.heard


def test_a_quiet_account_takes_four_round_trips(dovecot: DovecotServer) -> None:
    user = dovecot.new_user()
    with dovecot.open(user.name) as raw:
        for number in range(30):
            raw.create(f"Box {number}", subscribe=True)
    for url in (dovecot.imaps_url(user.name), dovecot.url(user.name)):
        session = open_session(parse_url(url), Login(lambda: user.password), timeout=20)
        assert len(session.look()) == 31
        session.close()
        assert session.round_trips == 4
    with open_session(parse_url(dovecot.starttls_url(user.name)), Login(lambda: user.password)) as session:
        session.look()
    assert session.round_trips <= 5


def test_capabilities_are_asked_for_only_where_the_server_does_not_tell() -> None:
    script = Script(
        {"LOGIN": [b"TAG OK\r\n"], "CAPABILITY": [b"* CAPABILITY IMAP4rev1 Uidplus\r\nTAG OK\r\n"]}, b"* OK hi\r\n"
    )
    with scripted(script) as server, open_session(server.endpoint(), MINE) as session:
        assert session.capabilities == {"IMAP4REV1", "UIDPLUS"}
        assert server.heard == ["CAPABILITY", f'LOGIN "anna" "{PASSWORD}"', "CAPABILITY"]


def test_a_server_of_the_second_revision_has_what_that_brings() -> None:
    script = Script(greeting=b"* OK [CAPABILITY IMAP4rev2] hi\r\n", capabilities=b"IMAP4rev2")
    with scripted(script) as server, open_session(server.endpoint(), MINE) as session:
        assert session.look() == []
        assert [command.split(" ")[0] for command in server.heard] == ["LOGIN", "NAMESPACE", "LIST"]


def test_mod_sequences_are_enabled_before_any_mailbox_is_opened() -> None:
    with scripted() as server, open_session(server.endpoint(), MINE) as session:
        session.examine(b"INBOX")
        opening = [command.split(" ")[0] for command in server.heard]
    assert opening.index("ENABLE") < opening.index("EXAMINE")


def test_nothing_that_passes_is_written_to_a_log(dovecot: DovecotServer, caplog: pytest.LogCaptureFixture) -> None:
    user = dovecot.new_user()
    with caplog.at_level(logging.DEBUG):
        enter(dovecot.imaps_url(user.name), user.password)
        enter(dovecot.starttls_url(user.name), user.password)
    assert not [record for record in caplog.records if "LOGIN" in record.getMessage() or "LIST" in record.getMessage()]


def test_closing_does_not_wait_for_a_dead_server() -> None:
    with scripted(Script({"LOGOUT": [SILENCE]})) as server:
        session = open_session(server.endpoint(), MINE, timeout=60)
        began = time.monotonic()
        session.close()
        session.close()
        assert time.monotonic() - began < 30
    with pytest.raises(ConnectionLost):
        session.look()
