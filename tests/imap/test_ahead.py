"""Asking for messages in one breath with the opening of their mailbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from imap.errors import Refused
from tests.corpus import plain_mail
from tests.imap.conftest import Open
from tests.imap.scripted import Reply, scripted_session, uids_of
from tests.servers import CyrusServer, DovecotServer, ImapServer, Mail, deliver

OPENED = b"* %d EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT %d]\r\nTAG OK\r\n"


def fact(uid: int, flags: bytes = b"") -> bytes:
    date = b'INTERNALDATE "01-Jan-2020 00:00:00 +0000"'
    return b"* %d FETCH (UID %d FLAGS (%b) %b RFC822.SIZE 7)\r\n" % (uid, uid, flags, date)


def told(*uids: int, between: bytes = b"") -> list[Reply]:
    """Answer what is asked along with an opening."""
    return [between + b"".join(fact(uid) + between for uid in uids) + b"TAG OK\r\n"]


def asked_one_by_one(command: str) -> Iterator[bytes]:
    yield from (fact(uid) for uid in uids_of(command))
    yield b"TAG OK\r\n"


def ordinary(uids: bytes, exists: int = 3) -> dict[str, list[Reply]]:
    """Answer what is asked in the ordinary way."""
    return {
        "EXAMINE": [OPENED % (9, 10), OPENED % (exists, exists + 1)],
        "SEARCH": [b'* ESEARCH (TAG "TAG") UID ALL ' + uids + b"\r\nTAG OK\r\n"],
        "UID FETCH": [asked_one_by_one],
    }


def fill(server: ImapServer, count: int) -> str:
    user = server.new_user().name
    with server.open(user) as raw:
        for number in range(count):
            raw.append("INBOX", plain_mail(number), ("\\Flagged",) if number % 2 else ())
    return user


@pytest.mark.parametrize("kind", ["dovecot", "cyrus"])
def test_listing_and_facts_cost_one_round_trip_with_the_opening_and_are_those_of_the_ordinary_way(
    request: pytest.FixtureRequest, open_account: Open, kind: str
) -> None:
    server: DovecotServer | CyrusServer = request.getfixturevalue(kind)
    session = open_account(server, fill(server, 7))
    session.examine(b"INBOX")
    uids = list(session.uids(1, 7))
    facts = list(session.facts(range(1, 8)))
    before = session.round_trips
    opened = session.examine(b"INBOX", ahead=1)
    assert (opened.exists, opened.uidnext) == (7, 8)
    assert (list(session.uids(1, 7)), list(session.facts(range(1, 8)))) == (uids, facts)
    assert session.round_trips - before == 1
    session.examine(b"INBOX", ahead=6)
    assert list(session.uids(6, 7)) == [(6, 7)]
    assert list(session.facts([6, 7])) == facts[5:]
    assert session.round_trips - before == 2


def test_the_newest_message_told_in_place_of_none_is_not_taken_for_a_new_one(
    dovecot: DovecotServer, open_account: Open
) -> None:
    session = open_account(dovecot, fill(dovecot, 3))
    session.examine(b"INBOX", ahead=4)
    assert list(session.uids(4, 9)) == []


def test_an_opening_that_is_refused_says_nothing_of_the_mailbox_before_it() -> None:
    rules = ordinary(b"1:9") | {r"FETCH 1:\*": told(1, 2, 3)}
    rules["EXAMINE"] = [OPENED % (9, 10), b"TAG NO [NOPERM] not yours\r\n", OPENED % (3, 4)]
    with scripted_session(rules) as (session, server):
        with pytest.raises(Refused, match="not yours"):
            session.examine(b"Secret", ahead=1)
        assert session.opened is None
        session.examine(b"Other")
        assert list(session.uids(1, 3)) == [(1, 3)]
        assert [command.split()[0] for command in server.heard[-4:]] == ["EXAMINE", "UID", "EXAMINE", "UID"]
        assert "SEARCH" in server.heard[-1]


@pytest.mark.parametrize("answer", [told(1, 3), told(1, 2, 3, 4), [b"TAG NO not now\r\n"], [b"TAG BAD too early\r\n"]])
def test_what_does_not_add_up_or_is_refused_is_asked_for_in_the_ordinary_way(answer: list[Reply]) -> None:
    with scripted_session({r"FETCH 1:\*": answer} | ordinary(b"1:3")) as (session, server):
        session.examine(b"Other", ahead=1)
        assert list(session.uids(1, 99)) == [(1, 3)]
        assert len(server.commands("UID SEARCH")) == 1
        assert [f.uid for f in session.facts([1, 2, 3])] == [1, 2, 3]


def test_a_listing_asked_for_again_comes_from_the_server() -> None:
    with scripted_session({r"FETCH 2:\*": told(3)} | ordinary(b"2:3")) as (session, server):
        session.examine(b"Other", ahead=2)
        assert list(session.uids(2, 3)) == [(3, 3)]
        assert not server.commands("UID SEARCH")
        assert list(session.uids(2, 3)) == [(2, 3)]


def test_news_that_come_in_between_neither_add_messages_nor_spoil_them() -> None:
    news = b"* 4 EXISTS\r\n* 4 FETCH (UID 4 FLAGS (\\Recent))\r\n* 2 FETCH (FLAGS (\\Seen) UID 2)\r\n* 1 EXPUNGE\r\n"
    with scripted_session({r"FETCH 1:\*": told(1, 2, 3, between=news)} | ordinary(b"1:3")) as (session, server):
        session.examine(b"Other", ahead=1)
        assert list(session.uids(1, 3)) == [(1, 3)]
        assert [(f.uid, f.flags, f.size) for f in session.facts([1, 2, 3])] == [
            (1, (), 7),
            (2, ("\\Seen",), 7),
            (3, (), 7),
        ]
        assert not server.commands("UID SEARCH")


def test_nothing_is_asked_ahead_of_servers_that_take_one_command_at_a_time_or_show_mailboxes_in_pages() -> None:
    for capabilities in (b"IMAP4rev1 MESSAGELIMIT=1000", b"IMAP4rev1 ENABLE ID"):
        rules = ordinary(b"1:3") | {"^ID": [b'* ID ("name" "Courier-IMAP")\r\nTAG OK\r\n']}
        with scripted_session(rules, capabilities=capabilities) as (session, server):
            session.examine(b"Other", ahead=1)
            assert not server.commands("UID FETCH")


def test_an_id_that_the_server_knows_is_not_tried_out_once_it_has_been_told(
    dovecot: DovecotServer, open_account: Open
) -> None:
    user = dovecot.new_user().name
    for mailbox in ("INBOX", "Sent"):
        deliver(dovecot, user, mailbox, [Mail(plain_mail(n)) for n in range(3)])
    session = open_account(dovecot, user)
    session.examine(b"INBOX", ahead=1)
    assert all(f.server_id for f in session.facts([1, 2, 3]))
    session.examine(b"Sent")
    before = session.round_trips
    assert all(f.server_id for f in session.facts([1, 2, 3]))
    assert session.round_trips - before == 1
