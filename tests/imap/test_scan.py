"""Which messages a mailbox holds, with which flags, dates and sizes."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator

import pytest

from imap.errors import Refused
from imap.model import Facts
from tests.corpus import plain_mail
from tests.imap.conftest import Open
from tests.imap.scripted import Reply, scripted_session, uids_of
from tests.servers import CyrusServer, DovecotServer, Mail, deliver

NO_EXTENSIONS = {"CONDSTORE", "QRESYNC", "ESEARCH", "ENABLE", "LIST-STATUS"}


def filled(server: DovecotServer, count: int) -> str:
    """Make an account with mails in its INBOX, UIDs from 1, the even ones flagged."""
    user = server.new_user()
    flags = ("\\Flagged", "$Label1")
    deliver(server, user.name, "INBOX", (Mail(plain_mail(n), flags if n % 2 == 0 else ()) for n in range(1, count + 1)))
    return user.name


@pytest.mark.parametrize("without", [(), NO_EXTENSIONS], ids=["as it is", "without extensions"])
def test_uids_flags_and_facts_are_those_the_server_has(
    start_dovecot: Callable[..., DovecotServer], open_account: Open, without: set[str]
) -> None:
    server = start_dovecot(without=without)
    name = filled(server, 30)
    with server.open(name) as raw:
        raw.do("SELECT INBOX")
        raw.do("UID STORE 5,7,10:12,30 +FLAGS (\\Deleted)")
        raw.do("EXPUNGE")
        truth = raw.messages("INBOX")
    session = open_account(server, name)
    opened = session.examine(b"INBOX")
    assert (opened.exists, opened.uidnext) == (24, 31)
    assert list(session.uids()) == [(1, 4), (6, 6), (8, 9), (13, 29)]
    assert list(session.uids(1, 30)) == [(1, 4), (6, 6), (8, 9), (13, 29)]
    assert list(session.uids(9, 14)) == [(9, 9), (13, 14)]
    assert list(session.uids(30)) == []
    assert list(session.uids(31)) == []
    assert list(session.flags()) == [(seen.uid, seen.flags) for seen in truth]
    assert list(session.flags(28)) == [(28, ("$Label1", "\\Flagged")), (29, ())]
    assert list(session.flags(30)) == []
    facts = list(session.facts([*range(1, 40)]))
    assert [(f.uid, f.flags, f.internaldate, f.size) for f in facts] == [
        (seen.uid, seen.flags, seen.internaldate, len(seen.octets)) for seen in truth
    ]
    assert len({f.server_id for f in facts}) == 24
    headers = list(session.headers([f.uid for f in facts]))
    assert [h.uid for h in headers] == [f.uid for f in facts]
    assert all(h.octets.endswith(b"\r\n\r\n") and h.octets.count(b"\r\n") == 5 for h in headers)
    assert headers[0].internaldate == facts[0].internaldate


def test_an_empty_mailbox_has_nothing_and_is_not_asked(dovecot: DovecotServer, open_account: Open) -> None:
    session = open_account(dovecot, dovecot.new_user().name)
    session.examine(b"INBOX")
    before = session.round_trips
    assert list(session.uids()) == []
    assert list(session.flags()) == []
    assert session.flags_changed_since(1) == []
    assert session.round_trips == before


@pytest.mark.parametrize("kind", ["dovecot", "cyrus"])
def test_mod_sequences_tell_what_changed_and_what_vanished(
    kind: str, dovecot: DovecotServer, cyrus: CyrusServer, open_account: Open
) -> None:
    server = dovecot if kind == "dovecot" else cyrus
    user = server.new_user()
    with server.open(user.name) as raw:
        for number in range(1, 9):
            raw.append("INBOX", plain_mail(number))
        session = open_account(server, user.name)
        before = session.examine(b"INBOX")
        assert before.highestmodseq
        raw.do("SELECT INBOX")
        raw.do("UID STORE 2 +FLAGS (\\Answered)")
        raw.do("UID STORE 3:4,7 +FLAGS (\\Deleted)")
        raw.do("EXPUNGE")
        raw.append("INBOX", plain_mail(9), ("\\Seen",))
    known = (before.uidvalidity, before.highestmodseq)
    after = session.examine(b"INBOX", known=known)
    assert after.vanished is not None
    assert [uid for first, last in after.vanished for uid in range(first, last + 1)] == [3, 4, 7]
    assert after.changed == ((2, ("\\Answered",)), (9, ("\\Seen",)))
    assert session.flags_changed_since(before.highestmodseq) == [(2, ("\\Answered",)), (9, ("\\Seen",))]
    assert session.examine(b"INBOX").vanished is None
    assert session.examine(b"INBOX", known=(before.uidvalidity + 1, before.highestmodseq)).vanished is None


def test_news_of_the_mailbox_that_was_open_before_is_not_taken_for_the_next_one() -> None:
    old = b"* 99 EXISTS\r\n* VANISHED 1:9\r\n* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n* OK [CLOSED] bye\r\n"
    new = b"* 3 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [HIGHESTMODSEQ 9]\r\n* VANISHED (EARLIER) 4,6:7\r\n"
    with scripted_session({"EXAMINE": [old + new + b"* 2 FETCH (UID 5 FLAGS () MODSEQ (8))\r\nTAG OK\r\n"]}) as (
        session,
        _,
    ):
        opened = session.examine(b"INBOX", known=(7, 5))
    assert opened.exists == 3
    assert opened.vanished == ((4, 4), (6, 7))
    assert opened.changed == ((5, ()),)


def test_leaving_a_mailbox_leaves_all_that_is_in_it(dovecot: DovecotServer, open_account: Open) -> None:
    name = filled(dovecot, 3)
    session = open_account(dovecot, name)
    session.select(b"INBOX")
    session.store_flags([2], ["\\Deleted"])
    session.unselect()
    assert session.opened is None
    with dovecot.open(name) as raw:
        assert [seen.flags for seen in raw.messages("INBOX")] == [(), ("\\Deleted",), ()]


def test_a_mailbox_that_is_gone_is_refused_and_the_session_lives_on(dovecot: DovecotServer, open_account: Open) -> None:
    session = open_account(dovecot, dovecot.new_user().name)
    with pytest.raises(Refused, match="gone away"):
        session.examine(b"gone away")
    assert session.opened is None
    assert session.examine(b"INBOX").exists == 0


def test_a_mail_keeps_its_id_when_it_is_moved(dovecot: DovecotServer, cyrus: CyrusServer, open_account: Open) -> None:
    for server in (dovecot, cyrus):
        user = server.new_user()
        with server.open(user.name) as raw:
            raw.create("Other")
            raw.append("INBOX", plain_mail(1))
            raw.append("INBOX", plain_mail(2))
            session = open_account(server, user.name)
            session.examine(b"INBOX")
            first, second = (fact.server_id for fact in session.facts([1, 2]))
            raw.do("SELECT INBOX")
            raw.do("UID MOVE 1 Other")
        session.examine(b"Other")
        [moved] = session.facts([1])
        assert moved.server_id == first
        assert first != second


def test_a_server_that_does_not_know_x_guid_is_asked_once() -> None:
    rules: dict[str, list[Reply]] = {
        "X-GUID": [b"TAG BAD what is X-GUID?\r\n"],
        "UID FETCH": [
            b'* 1 FETCH (RFC822.SIZE 5 INTERNALDATE " 1-Jan-2040 00:00:00 +0000" FLAGS () UID 4)\r\nTAG OK\r\n'
        ],
        "^ID": [b'* ID ("name" "Dovecot")\r\nTAG OK\r\n'],
    }
    with scripted_session(rules) as (session, server):
        kinds: list[str] = [session.server_id_kind]
        for _ in range(2):
            assert list(session.facts([4])) == [Facts(4, (), " 1-Jan-2040 00:00:00 +0000", 5, b"")]
            kinds.append(session.server_id_kind)
        assert kinds == ["X-GUID", "", ""]
        assert len([command for command in server.heard if "X-GUID" in command]) == 1


def facts_line(uid: int) -> bytes:
    return b'* %d FETCH (UID %d FLAGS () INTERNALDATE "1-Jan-2020 00:00:00 +0000" RFC822.SIZE 5)\r\n' % (uid, uid)


def test_one_message_the_server_chokes_on_does_not_hide_the_others() -> None:
    def answer(command: str) -> Iterator[bytes]:
        for uid in uids_of(command):
            if uid == 5:
                yield b"TAG NO [SERVERBUG] index broken\r\n"
                return
            yield facts_line(uid)
        yield b"TAG OK\r\n"

    with scripted_session({"UID FETCH": [answer]}) as (session, _):
        assert [f.uid for f in session.facts(range(1, 10))] == [1, 2, 3, 4, 6, 7, 8, 9]


def test_news_of_other_messages_may_come_at_any_time() -> None:
    news = b"* 10 EXISTS\r\n* 2 EXPUNGE\r\n* VANISHED 77\r\n* OK still here\r\n"
    news += b"* 9 FETCH (UID 9 FLAGS (\\Seen) MODSEQ (5))\r\n"
    rules: dict[str, list[Reply]] = {
        "SEARCH": [news + b'* ESEARCH (TAG "TAG") UID ALL 1:3\r\n' + news + b"TAG OK\r\n"],
        "FETCH": [news + facts_line(1) + news + facts_line(3) + news + b"TAG OK\r\n"],
    }
    with scripted_session(rules) as (session, _):
        assert list(session.uids(1, 3)) == [(1, 3)]
        assert [f.uid for f in session.facts([1, 2, 3])] == [1, 3]
        assert list(session.flags(1, 3)) == [(1, ()), (3, ())]


COUNT = 300_000


def many() -> dict[str, list[Reply]]:
    """Answer for a mailbox of 300,000 messages whose UIDs are the even numbers."""
    everything = b" ".join(b"%d" % uid for uid in range(2, 2 * COUNT + 1, 2))

    def flags(command: str) -> Iterator[bytes]:
        first, _, last = command.split(" ")[2].partition(":")
        for low in range((int(first) + 1) // 2 * 2, int(last) + 1, 20_000):
            high = min(low + 20_000, int(last) + 1)
            yield b"".join(b"* %d FETCH (UID %d FLAGS (\\Seen))\r\n" % (uid // 2, uid) for uid in range(low, high, 2))
        yield b"TAG OK\r\n"

    def numbered(command: str) -> Iterator[bytes]:
        first, _, last = command.split(" ")[1].partition(":")
        yield b"".join(b"* %d FETCH (UID %d)\r\n" % (n, 2 * n) for n in range(int(first), int(last or first) + 1))
        yield b"TAG OK\r\n"

    return {
        "RETURN": [b'* ESEARCH (TAG "x") UID ALL ' + everything.replace(b" ", b",") + b"\r\nTAG OK\r\n"],
        "SEARCH": [b"* SEARCH " + everything + b" \r\nTAG OK\r\n"],
        "UID FETCH": [flags],
        "^FETCH": [numbered],
    }


OPENED = b"* %d EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT %d]\r\nTAG OK\r\n" % (COUNT, 2 * COUNT + 1)


@pytest.mark.parametrize(
    "capabilities, search",
    [
        (b"IMAP4rev1 ESEARCH", {}),
        (b"IMAP4rev1", {}),
        (b"IMAP4rev1", {"SEARCH": [b"* SEARCH 2 4 6 8\r\nTAG OK\r\n"]}),
        (b"IMAP4rev1 ESEARCH", {"SEARCH": [b'* ESEARCH (TAG "x") UID ALL 2,4,6\r\nTAG OK\r\n']}),
    ],
    ids=["ESEARCH", "one line of two megabytes", "a search that is capped", "an extended search that is capped"],
)
def test_a_mailbox_of_300_000_messages_is_listed_whole(capabilities: bytes, search: dict[str, list[Reply]]) -> None:
    rules = many() | search
    if search:
        rules.pop("RETURN")
    with scripted_session({**rules, "EXAMINE": [OPENED]}, capabilities=capabilities, timeout=60) as (session, _):
        count = 0
        for number, (first, last) in enumerate(session.uids(), 1):
            assert first == last == 2 * number
            count += 1
        assert count == COUNT


def test_the_flags_of_300_000_messages_come_in_windows() -> None:
    rules = many()
    with scripted_session({**rules, "EXAMINE": [OPENED]}, timeout=60) as (session, server):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        count = 0
        for number, (uid, flags) in enumerate(session.flags(), 1):
            assert uid == 2 * number
            assert flags == ("\\Seen",)
            count += 1
        assert count == COUNT
        assert len(server.commands("UID FETCH")) == 30
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
