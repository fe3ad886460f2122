"""ManageSieve on the wire: TLS, logins, strings however they are written, servers that misbehave."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from imap.errors import BadUrl, CannotConnect, ConnectionLost, ImapError, LoginRefused, Refused, UntrustedCertificate
from imap.model import Endpoint, Login
from imap.sieve import Script, open_sieve
from imap.url import parse_sieve_url
from tests.imap.scripted import PASSWORD
from tests.secret import new_secret
from tests.servers import DovecotServer
from tests.servers.sieveful import SievePlace, dovecot_with_sieve

ANNA = Endpoint("127.0.0.1", 4190, "anna", "off")
MINE = Login(lambda: PASSWORD)
WELCOME = b'"IMPLEMENTATION" "a test"\r\n"SASL" "PLAIN XOAUTH2"\r\n"SIEVE" "fileinto"\r\nOK\r\n'


@contextmanager
def scripted(*replies: bytes) -> Iterator[tuple[Endpoint, list[bytes]]]:
    """Play a server that says each reply in turn, after a line of the client's for each but the first."""
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def play() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as reader:
                connection.sendall(replies[0])
                for reply in replies[1:]:
                    heard.append(reader.readline())
                    connection.sendall(reply)
                reader.readline()

    thread = threading.Thread(target=play, daemon=True)
    thread.start()
    try:
        yield replace(ANNA, port=listener.getsockname()[1]), heard
    finally:
        listener.close()
        thread.join(5)


def scripts(*replies: bytes) -> list[Script]:
    with scripted(WELCOME, b"OK\r\n", *replies) as (endpoint, _), open_sieve(endpoint, MINE, timeout=5) as session:
        return session.scripts()


def trouble(*replies: bytes, login: Login = MINE) -> ImapError:
    with (
        scripted(*replies) as (endpoint, _),
        pytest.raises(ImapError) as caught,
        open_sieve(endpoint, login, timeout=5) as session,
    ):
        session.scripts()
    assert PASSWORD not in caught.value.message
    return caught.value


def test_strings_are_read_however_they_are_written_and_a_script_may_hold_anything() -> None:
    script = b'OK\r\nNO "x"\r\n{3}\r\n"\0\xff'
    found = scripts(
        b'"a \\"b\\"" ACTIVE\r\n{6}\r\nf\xc3\xbcr x\r\nOK "done"\r\n'.replace(b"{6}", b"{6+}"),
        b"{%d}\r\n%b\r\nOK\r\n" % (len(script), script),
        b'"keep;"\r\nOK (TAG "x") {4}\r\ndone\r\n',
    )
    assert found == [Script('a "b"', script, active=True), Script("für x", b"keep;")]


def test_names_and_scripts_are_written_so_that_any_octets_arrive() -> None:
    with (
        scripted(WELCOME, b"OK\r\n", b"", b"", b"OK\r\n") as (endpoint, heard),
        open_sieve(endpoint, MINE, timeout=5) as session,
    ):
        session.put("für", b"keep;")
    assert heard[1:] == [b"PUTSCRIPT {4+}\r\n", b"f\xc3\xbcr {5+}\r\n", b"keep;\r\n"]


@pytest.mark.parametrize(
    "replies, kind",
    [
        ((b"* OK IMAP4rev1 ready\r\n",), ConnectionLost),
        ((b'BYE "too busy"\r\n',), ConnectionLost),
        ((b'NO "not now"\r\n',), CannotConnect),
        ((WELCOME, b'NO "bad password"\r\n'), LoginRefused),
        ((WELCOME, b"OK\r\n", b'NO (QUOTA) "no"\r\n'), Refused),
        ((WELCOME, b"OK\r\n", b'BYE (TRYLATER) "going down"\r\n'), ConnectionLost),
        ((WELCOME, *[b'"more"\r\n'] * 300), ConnectionLost),
        ((WELCOME, b"OK\r\n", b'"x"\r\n' * 1_000_000), ConnectionLost),
        ((WELCOME, b"OK\r\n", b'("list")\r\nOK\r\n'), ConnectionLost),
        ((WELCOME, b"OK\r\n", b'"\xff"\r\nOK\r\n', b'"x"\r\nOK\r\n'), ConnectionLost),
        ((WELCOME, b"OK\r\n", b'"a"\r\nOK\r\n', b"OK\r\n"), ConnectionLost),
        ((WELCOME, b"OK\r\n", b'"a"\r\nOK\r\n', b"{99}\r\nshort"), ConnectionLost),
    ],
)
def test_what_a_server_does_wrong_is_one_error(replies: tuple[bytes, ...], kind: type[ImapError]) -> None:
    assert isinstance(trouble(*replies), kind)


def test_a_password_that_the_server_repeats_is_not_repeated() -> None:
    trouble(WELCOME, b'NO "wrong: ' + PASSWORD.encode() + b'"\r\n')


def test_a_login_that_is_not_offered_is_refused_before_a_secret_is_sent() -> None:
    with scripted(b'"SASL" ""\r\nOK\r\n') as (endpoint, heard), pytest.raises(LoginRefused):
        open_sieve(endpoint, MINE, timeout=5)
    assert heard == []


def test_a_tokens_challenge_is_answered_and_the_token_renewed_once() -> None:
    login = Login(lambda: PASSWORD, oauth=True, renew=new_secret)
    error = trouble(WELCOME, b'"e30="\r\n', b'NO "expired"\r\n', b'NO "still"\r\n', login=login)
    assert isinstance(error, LoginRefused)
    assert "still" in error.message


def test_without_tls_nothing_is_sent_unless_that_is_asked_for() -> None:
    with scripted(WELCOME) as (endpoint, heard), pytest.raises(CannotConnect, match="offers no TLS"):
        open_sieve(replace(endpoint, tls="starttls"), MINE, timeout=5)
    assert heard == []


@pytest.fixture
def place(start_dovecot: Callable[..., DovecotServer]) -> SievePlace:
    return dovecot_with_sieve(start_dovecot)


def test_tls_is_checked_as_for_mail(place: SievePlace) -> None:
    assert isinstance(place.server, DovecotServer)
    user = place.server.new_user()
    secured = Endpoint("127.0.0.1", place.port, user.name, "starttls")
    login = Login(lambda: user.password)
    with pytest.raises(UntrustedCertificate):
        open_sieve(secured, login, timeout=10)
    with pytest.raises(UntrustedCertificate):
        open_sieve(replace(secured, fingerprint="00" * 32), login, timeout=10)
    with open_sieve(replace(secured, ca=str(place.server.ca)), login, timeout=10) as session:
        session.put("sort", b"keep;\r\n")
        assert session.scripts() == [Script("sort", b"keep;\r\n")]
        with pytest.raises(Refused, match="storing the Sieve script bad"):
            session.put("bad", b"this is no sieve")
    with pytest.raises(LoginRefused):
        open_sieve(replace(secured, ca=str(place.server.ca)), Login(new_secret), timeout=10)


def test_a_master_user_reads_the_scripts_of_others(place: SievePlace) -> None:
    assert isinstance(place.server, DovecotServer)
    user, master = place.server.new_user(), place.server.master
    with place.open(user) as sieve:
        sieve.put("sort", b"keep;\r\n")
    for form in ("*", None):
        endpoint = Endpoint("127.0.0.1", place.port, master.name, "off", acting_as=user.name, master_form=form)
        with open_sieve(endpoint, Login(lambda: master.password), timeout=10) as session:
            assert session.scripts() == [Script("sort", b"keep;\r\n")]


def test_a_sieve_url_is_a_host_and_nothing_else() -> None:
    like = Endpoint("mail.example.org", 993, "anna", ca="/ca.pem", fingerprint="ab" * 32)
    found = parse_sieve_url("sieve://mail.example.org", like)
    assert found == replace(like, port=4190, tls="starttls")
    assert parse_sieve_url("sieve://other:99?tls=off", like) == replace(
        like, host="other", port=99, tls="off", fingerprint=None
    )
    for url in ("imap://host", "sieve://anna@host", "sieve://", "sieve://host?as=bob", "sieve://host/x"):
        with pytest.raises(BadUrl):
            parse_sieve_url(url, like)


def test_nobody_there_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(CannotConnect, match="ManageSieve"):
        open_sieve(replace(ANNA, port=port), MINE, timeout=5)
