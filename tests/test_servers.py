"""The ground that the other tests stand on: servers that give back what was put in."""

from __future__ import annotations

import imaplib
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

import pytest

from tests.corpus import DOTTED_NAMES, MAILBOX_NAMES, MESSAGES, SERVABLE, TWINS
from tests.servers import CourierServer, CyrusServer, DovecotServer, Imap4dServer, Mail, RcloneS3, deliver
from tests.servers.process import ROOT, wait_for


def test_a_mail_delivered_into_a_maildir_is_served_as_it_lies_there(dovecot: DovecotServer) -> None:
    user = dovecot.new_user()
    deliver(dovecot, user.name, "INBOX", SERVABLE.values())
    with dovecot.open(user.name) as session:
        seen = session.messages("INBOX")
    assert [each.octets for each in seen] == list(SERVABLE.values())


def test_delivered_flags_keywords_and_dates_are_the_servers(dovecot: DovecotServer) -> None:
    user = dovecot.new_user()
    when = datetime(1999, 12, 31, 23, 59, 58, tzinfo=UTC)
    mail = Mail(TWINS[0], ("\\Seen", "\\Flagged", "$Forwarded", "Projekt"), when)
    deliver(dovecot, user.name, "Überweisungen/2024", [mail, TWINS[1]])
    with dovecot.open(user.name) as session:
        first, second = session.messages("Überweisungen/2024")
    assert first.flags == ("$Forwarded", "Projekt", "\\Flagged", "\\Seen")
    assert first.internaldate == "31-Dec-1999 23:59:58 +0000"
    assert (first.recent, second.flags) == (True, ())
    assert first.octets == second.octets


def test_dovecot_takes_every_mail_of_the_corpus(dovecot: DovecotServer) -> None:
    user = dovecot.new_user()
    with dovecot.open(user.name) as session:
        refused = {name for name, mail in MESSAGES.items() if not session.append("INBOX", mail).ok}
        count = session.status("INBOX")["MESSAGES"]
    assert (refused, count) == (set(), len(MESSAGES))


def test_dovecot_takes_every_mailbox_name_of_the_corpus(
    dovecot: DovecotServer, start_dovecot: Callable[..., DovecotServer]
) -> None:
    for server, names in ((dovecot, MAILBOX_NAMES), (start_dovecot(location="mdbox:~/mdbox"), DOTTED_NAMES)):
        user = server.new_user()
        with server.open(user.name) as session:
            for name in names:
                session.create(name, subscribe=True)
            assert set(names) <= set(session.names())
            assert session.names("LSUB") == sorted(names)


def test_a_capability_that_is_hidden_is_not_offered(start_dovecot: Callable[..., DovecotServer]) -> None:
    server = start_dovecot(without={"QRESYNC", "CONDSTORE", "LIST-STATUS"})
    user = server.new_user()
    with server.open(user.name) as session:
        offered = session.do("CAPABILITY")[0][0].split()
    assert b"ESEARCH" in offered
    assert not {b"QRESYNC", b"CONDSTORE", b"LIST-STATUS"} & set(offered)


def test_mail_outlives_a_restart_and_not_a_wipe(start_dovecot: Callable[..., DovecotServer]) -> None:
    server = start_dovecot()
    user = server.new_user()
    deliver(server, user.name, "INBOX", TWINS)
    server.restart()
    with server.open(user.name) as session:
        assert len(session.messages("INBOX")) == 2
    server.wipe(user.name)
    with server.open(user.name) as session:
        assert session.messages("INBOX") == []


def test_cyrus_keeps_octets_and_refuses_what_is_not_mail(cyrus: CyrusServer) -> None:
    user = cyrus.new_user()
    with cyrus.open(user.name) as session:
        assert session.append("INBOX", MESSAGES["ordinary"], ("\\Seen", "Projekt")).ok
        assert not session.append("INBOX", MESSAGES["bare LF"]).ok
        assert not session.append("INBOX", MESSAGES["NUL"]).ok
        (seen,) = session.messages("INBOX")
    assert (seen.octets, seen.flags) == (MESSAGES["ordinary"], ("Projekt", "\\Seen"))


def test_courier_keeps_octets_and_takes_what_others_refuse(courier: CourierServer) -> None:
    user = courier.new_user()
    with courier.open(user.name) as session:
        assert session.append("INBOX", MESSAGES["ordinary"], ("\\Seen", "Projekt")).ok
        assert session.append("INBOX", MESSAGES["NUL"]).ok
        assert session.append("INBOX", b"").ok
        assert not session.command('CREATE "Beside the INBOX"').ok
        first, *_ = session.messages("INBOX")
    assert (first.octets, first.flags) == (MESSAGES["ordinary"], ("Projekt", "\\Seen"))


@pytest.mark.usefixtures("courier")
def test_courier_outlives_a_restart_with_its_mail_and_answers_over_tls() -> None:
    server = CourierServer.start()
    try:
        user = server.new_user()
        with server.open(user.name) as session:
            session.append("INBOX", MESSAGES["ordinary"])
        server.restart()
        with server.open(user.name) as session:
            assert len(session.messages("INBOX")) == 1
        tls = ssl.create_default_context(cafile=str(server.ca))
        with imaplib.IMAP4_SSL("localhost", server.tls_port, ssl_context=tls) as client:
            assert client.login(user.name, user.password)[0] == "OK"
    finally:
        server.remove()


@pytest.mark.usefixtures("imap4d")
@pytest.mark.parametrize("storage", ["maildir", "mbox"])
def test_imap4d_keeps_octets_over_maildir_and_adds_lines_over_mbox(storage: Literal["maildir", "mbox"]) -> None:
    server = Imap4dServer.start(storage=storage)
    try:
        user = server.new_user()
        with server.open(user.name) as session:
            session.create("Plans")
            assert session.append("Plans", MESSAGES["ordinary"], ("\\Seen",)).ok
            assert not session.append("Plans", MESSAGES["ordinary"], ("Projekt",)).ok
        server.restart()
        with server.open(user.name) as session:
            (seen,) = session.messages("Plans")
    finally:
        server.remove()
    assert (seen.octets == MESSAGES["ordinary"]) == (storage == "maildir")


@pytest.mark.parametrize("kind", ["courier", "imap4d"])
def test_a_server_ends_with_the_run_that_started_it_however_that_ends(
    kind: str, request: pytest.FixtureRequest
) -> None:
    name = type(request.getfixturevalue(kind)).__name__
    deed = f"s = {name}.start(); print(s.port, s.directory, flush=True); os.kill(os.getpid(), 9)"
    run = [sys.executable, "-c", f"import os; from tests.servers import {name}; {deed}"]
    port, directory = subprocess.run(run, cwd=ROOT, capture_output=True, check=False, text=True).stdout.split()
    wait_for(lambda: not answers(int(port)), 20)
    shutil.rmtree(directory)


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.mark.usefixtures("s3")
def test_objects_outlive_a_restart_of_the_s3_server() -> None:
    boto3 = pytest.importorskip("boto3")
    server = RcloneS3.start()
    try:
        server.new_bucket("kept")
        keys = {"aws_access_key_id": server.access_key, "aws_secret_access_key": server.secret_key}
        client = boto3.client("s3", endpoint_url=server.endpoint, **keys)
        client.put_object(Bucket="kept", Key="a/b", Body=b"mail")
        server.restart()
        assert client.get_object(Bucket="kept", Key="a/b")["Body"].read() == b"mail"
        assert (server.data / "kept" / "a" / "b").read_bytes() == b"mail"
    finally:
        server.remove()
