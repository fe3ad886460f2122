"""The ground that the other tests stand on: servers that give back what was put in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.corpus import DOTTED_NAMES, MAILBOX_NAMES, MESSAGES, SERVABLE, TWINS
from tests.servers import CyrusServer, DovecotServer, Mail, RcloneS3, deliver


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
