"""Message bodies: every octet, whatever the server does meanwhile, and no trace left behind."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from imap.errors import ConnectionLost, ImapError, Throttled
from imap.model import GONE, Fetched
from imap.session import Session
from tests.corpus import MESSAGES, SERVABLE, TWINS, octets, plain_mail
from tests.imap.conftest import Open
from tests.imap.scripted import HANG_UP, SILENCE, Reply, body, scripted_session, uids_of
from tests.servers import CyrusServer, DovecotServer, Mail, deliver

MAILS = {uid: plain_mail(uid) for uid in range(1, 10)}


def numbers(session: Session) -> list[int]:
    return [uid for first, last in session.uids() for uid in range(first, last + 1)]


def drain(session: Session, uids: list[int]) -> tuple[list[Fetched], ImapError | None]:
    """Read messages until they end or the session breaks; return both."""
    got: list[Fetched] = []
    try:
        for fetched in session.messages(uids):
            got.append(fetched)  # noqa: PERF402  # what came before an error counts
    except ImapError as error:
        return got, error
    return got, None


def whole(*uids: int) -> list[Fetched]:
    return [Fetched(uid, MAILS[uid]) for uid in uids]


def test_hard_mails_come_octet_for_octet(dovecot: DovecotServer, open_account: Open) -> None:
    user = dovecot.new_user()
    mails = [*SERVABLE.values(), *TWINS]
    deliver(dovecot, user.name, "INBOX", mails)
    session = open_account(dovecot, user.name)
    session.examine(b"INBOX")
    sizes = {fact.uid: fact.size for fact in session.facts(numbers(session))}
    assert [fetched.octets for fetched in session.messages(numbers(session), sizes=sizes)] == mails
    assert [fetched.octets for fetched in session.messages(numbers(session))] == mails


def test_what_cyrus_takes_comes_back_as_cyrus_shows_it(cyrus: CyrusServer, open_account: Open) -> None:
    user = cyrus.new_user()
    with cyrus.open(user.name) as raw:
        for mail in MESSAGES.values():
            raw.append("INBOX", mail)
        truth = raw.messages("INBOX")
    assert len(truth) > 20
    session = open_account(cyrus, user.name)
    session.examine(b"INBOX")
    got = [(fetched.uid, fetched.octets) for fetched in session.messages(numbers(session))]
    assert got == [(seen.uid, seen.octets) for seen in truth]


def trace(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Tell all of a Maildir's files that a client could change: names, times, contents; not Dovecot's caches."""
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
        for path in directory.rglob("*")
        if path.is_file()
        and (path.parent.name in {"cur", "new", "tmp"} or path.name in {"subscriptions", "dovecot-keywords"})
    }


def test_reading_everything_leaves_the_source_as_it_was(dovecot: DovecotServer, open_account: Open) -> None:
    user = dovecot.new_user()
    deliver(dovecot, user.name, "INBOX", [Mail(plain_mail(n), ("\\Flagged", "$x") if n % 3 else ()) for n in range(20)])
    with dovecot.open(user.name) as raw:
        raw.append("INBOX", plain_mail(21))
        state, before = raw.do("STATUS INBOX (MESSAGES RECENT UNSEEN UIDNEXT UIDVALIDITY HIGHESTMODSEQ)"), raw.account()
    files = trace(dovecot.home(user.name))
    session = open_account(dovecot, user.name)
    for mailbox in session.look():
        opened = session.examine(mailbox.raw)
        uids = numbers(session)
        assert len(list(session.facts(uids))) == len(list(session.headers(uids))) == len(list(session.flags())) == 21
        assert all(fetched.octets for fetched in session.messages(uids))
        session.examine(mailbox.raw, known=(opened.uidvalidity, 1))
        session.flags_changed_since(1)
    session.close()
    assert trace(dovecot.home(user.name)) == files
    with dovecot.open(user.name) as raw:
        assert raw.do("STATUS INBOX (MESSAGES RECENT UNSEEN UIDNEXT UIDVALIDITY HIGHESTMODSEQ)") == state
        assert raw.account() == before


def test_a_message_that_is_expunged_meanwhile_is_gone_and_no_failure(
    dovecot: DovecotServer, open_account: Open
) -> None:
    user = dovecot.new_user()
    deliver(dovecot, user.name, "INBOX", MAILS.values())
    session = open_account(dovecot, user.name)
    session.examine(b"INBOX")
    with dovecot.open(user.name) as raw:
        raw.do("SELECT INBOX")
        raw.do("UID STORE 3,4 +FLAGS (\\Deleted)")
        raw.do("EXPUNGE")
    got, error = drain(session, [*MAILS, 4711])
    assert error is None
    assert sorted(got) == sorted([*whole(1, 2, 5, 6, 7, 8, 9), *(Fetched(uid, None, GONE) for uid in (3, 4, 4711))])


def test_a_message_is_held_in_memory_once(dovecot: DovecotServer, open_account: Open) -> None:
    user = dovecot.new_user()
    size = 100 << 20
    deliver(
        dovecot,
        user.name,
        "INBOX",
        [plain_mail(1), plain_mail(2, body=b"x" * 70 + b"\r\n" + b"y" * size), plain_mail(3)],
    )
    session = open_account(dovecot, user.name)
    session.examine(b"INBOX")
    tracemalloc.start()
    try:
        lengths = [len(fetched.octets or b"") for fetched in session.messages([1, 2, 3])]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert lengths[1] > size
    assert peak < 1.02 * size


def test_a_reader_that_stops_early_leaves_a_session_that_works(dovecot: DovecotServer, open_account: Open) -> None:
    user = dovecot.new_user()
    mails = [plain_mail(n, body=octets(3000, n).hex().encode()) for n in range(900)]
    deliver(dovecot, user.name, "INBOX", mails)
    session = open_account(dovecot, user.name)
    session.examine(b"INBOX")
    for fetched in session.messages(range(1, 901)):
        if fetched.uid == 5:
            with pytest.raises(RuntimeError):
                session.look()
            break
    del fetched
    assert [mailbox.name for mailbox in session.look()] == ["INBOX"]
    assert [fetched.octets for fetched in session.messages([7, 900])] == [mails[6], mails[899]]


def batch(*refused: int, how: bytes = b"TAG NO [SERVERBUG] can't\r\n", nil: tuple[int, ...] = ()) -> Reply:
    """Answer FETCH with mails, until one of the `refused` comes: then `how`. Of `nil` ones NIL is given."""

    def answer(command: str) -> Iterator[bytes]:
        for uid in uids_of(command):
            if "BODY" not in command:
                yield b"* %d FETCH (UID %d)\r\n" % (uid, uid)
            elif uid in refused:
                yield how
                return
            elif uid in nil:
                yield b"* %d FETCH (UID %d BODY[] NIL)\r\n" % (uid, uid)
            else:
                yield body(uid, MAILS[uid])
        yield b"TAG OK\r\n"

    return answer


@pytest.mark.parametrize(
    "how", [b"TAG NO [SERVERBUG] can't\r\n", b"TAG BAD can't\r\n", b"TAG NO can't\r\n", b"TAG OK fine\r\n"]
)
def test_a_message_the_server_will_not_give_costs_no_other(how: bytes) -> None:
    with scripted_session({"UID FETCH": [batch(3, 8, how=how)]}) as (session, _):
        got, error = drain(session, list(MAILS))
    assert error is None
    assert sorted(f for f in got if f.octets) == whole(1, 2, 4, 5, 6, 7, 9)
    failed = {fetched.uid: fetched.reason for fetched in got if fetched.octets is None}
    assert failed.keys() == {3, 8}
    assert all(("can't" in reason) or ("no content" in reason) for reason in failed.values())


def test_a_nil_body_is_a_failure_of_that_message_alone() -> None:
    with scripted_session({"UID FETCH": [batch(nil=(5,))]}) as (session, _):
        got, error = drain(session, list(MAILS))
    assert error is None
    assert [f for f in got if f.octets] == whole(1, 2, 3, 4, 6, 7, 8, 9)
    assert [(f.uid, f.reason) for f in got if f.octets is None] == [(5, "the server gives no content for this message")]


@pytest.mark.parametrize("word", [b"word", b"{5}", b"12", b"(a b)", b"{99999999999}"])
def test_a_bare_word_is_not_taken_for_a_message(word: bytes) -> None:
    def answer(command: str) -> Iterator[bytes]:
        for uid in uids_of(command):
            yield b"* 3 FETCH (UID 3 BODY[] " + word + b")\r\n" if uid == 3 else body(uid, b"mail")
        yield b"TAG OK done\r\n"

    with scripted_session({"UID FETCH": [answer]}) as (session, _):
        found = {one.uid: one.octets for one in session.messages([2, 3, 4])}
    assert found == {2: b"mail", 3: None, 4: b"mail"}


def test_a_message_that_fails_once_is_asked_for_again() -> None:
    with scripted_session({r"UID FETCH .* \(UID BODY": [batch(2), batch()], "UID FETCH": [batch()]}) as (session, _):
        got, error = drain(session, list(MAILS))
    assert error is None
    assert sorted(got) == whole(*MAILS)


def test_bodies_come_as_literal_literal8_quoted_string_and_in_any_order() -> None:
    reply = (
        b'* 9 FETCH (FLAGS (\\Seen) BODY[] "quo\\"ted" UID 2)\r\n'
        b"* 1 FETCH (BODY[] ~{5}\r\n\0\r\n\xff) UID 1)\r\n"
        b'* 3 FETCH (UID 3 BODY[] "")\r\n'
        b"* 4 fetch (uid 4 body[] {3+}\r\nabc)\r\n"
        b"TAG OK\r\n"
    )
    with scripted_session({"UID FETCH": [reply]}) as (session, _):
        got, _ = drain(session, [1, 2, 3, 4])
    assert [one[:3] for one in sorted(got)] == [
        (1, b"\0\r\n\xff)", ""),
        (2, b'quo"ted', ""),
        (3, b"", ""),
        (4, b"abc", ""),
    ]


NEWS = (
    b"* 4711 EXISTS\r\n* 0 RECENT\r\n* 5 FETCH (FLAGS (\\Seen))\r\n* 5 FETCH (UID 5 FLAGS (\\Seen) MODSEQ (12))\r\n"
    b"* OK [ALERT] disk {9}\r\n* 2 EXPUNGE\r\n* VANISHED 100:200\r\n* NO warning\r\n* CAPABILITY IMAP4rev1\r\n"
    b'* LIST () "/" {3}\r\nabc\r\n* FLAGS (\\Seen)\r\n* X-NEW {2}\r\n)( "\r\n'
)


def test_unasked_responses_anywhere_change_nothing() -> None:
    pieces = [piece for uid in MAILS for piece in (NEWS, body(uid, MAILS[uid]))]
    with scripted_session({"UID FETCH": [b"".join(pieces) + NEWS + b"TAG OK\r\n"]}) as (session, _):
        assert drain(session, list(MAILS)) == (whole(*MAILS), None)


def test_a_body_sent_twice_or_unasked_is_taken_once() -> None:
    reply = body(1, MAILS[1]) + body(1, b"other") + body(7, MAILS[7]) + body(2, MAILS[2]) + b"TAG OK\r\n"
    with scripted_session({"UID FETCH": [reply]}) as (session, _):
        assert drain(session, [1, 2]) == (whole(1, 2), None)


@pytest.mark.parametrize(
    "end",
    [
        HANG_UP,
        b"* BYE shutting down\r\n" + HANG_UP,
        b"* 3 FETCH (UID 3 BODY[] {5000}\r\nonly the beginning" + HANG_UP,
        b"* 3 FETCH (UID 3 BODY[] {5000}\r\nonly the beginning" + SILENCE,
        b"* 3 FETCH (UID 3 BODY[] ((((\r\n",
        b"garbage garbage\r\n",
        b"\x00\xff\x80" * 1000 + b"\r\n",
        b"* 3 FETCH (UID 3 BODY[] {99999999999999}\r\n",
        SILENCE,
    ],
)
def test_what_came_whole_before_the_connection_broke_is_handed_out(end: bytes) -> None:
    reply = body(1, MAILS[1]) + body(2, MAILS[2]) + end
    with scripted_session({"UID FETCH": [reply]}, timeout=0.5) as (session, _):
        got, error = drain(session, list(MAILS))
        assert got == whole(1, 2)
        assert isinstance(error, ConnectionLost)
        with pytest.raises(ConnectionLost):
            session.look()


@pytest.mark.parametrize(
    "end", [b"TAG NO [LIMIT] enough\r\n", b"TAG BAD Suggested Backoff Time: 1500 ms\r\n", b"* BYE [UNAVAILABLE] x\r\n"]
)
def test_a_server_that_slows_us_down_is_not_a_failure_of_messages(end: bytes) -> None:
    with scripted_session({"UID FETCH": [body(1, MAILS[1]) + end + HANG_UP]}) as (session, _):
        got, error = drain(session, list(MAILS))
    assert got == whole(1)
    assert isinstance(error, Throttled)


def test_commands_are_cut_by_octets_and_several_are_under_way() -> None:
    with scripted_session({"UID FETCH": [batch()]}) as (session, server):
        before = session.round_trips
        sizes = dict.fromkeys(MAILS, 5 << 20)
        assert list(session.messages(list(MAILS), sizes=sizes)) == whole(*MAILS)
        assert len(server.commands("UID FETCH")) == 9
        assert session.round_trips - before == 7
        assert list(session.messages(list(MAILS))) == whole(*MAILS)
        assert len(server.commands("UID FETCH")) == 10


def test_a_line_of_two_megabytes_is_only_long() -> None:
    long = b'* 3 FETCH (UID 3 X-NOTES "' + b"n" * (2 << 20) + b'" BODY[] {4}\r\nabcd)\r\n'
    with scripted_session({"UID FETCH": [long + b"TAG OK\r\n"]}) as (session, _):
        assert drain(session, [3]) == ([Fetched(3, b"abcd")], None)
