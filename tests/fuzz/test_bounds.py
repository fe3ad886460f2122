"""A server that counts, announces or says more than there can be costs neither memory nor time without end."""

from __future__ import annotations

import tracemalloc

import pytest

from imap import fetch, listing, scan
from imap.append import append
from imap.errors import ConnectionLost
from imap.model import Outgoing
from imap.tokens import Response, tokens
from tests.fuzz.canned import canned
from tests.fuzz.parsers import SERVER
from tests.imap.scripted import Reply, scripted_session


@pytest.mark.parametrize("announced", [b"10000000000", b"9999999999", b"4294967297", b"9" * 30])
def test_a_literal_of_ten_gigabytes_is_not_waited_for_in_memory(announced: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(ConnectionLost):
        listing.look(canned(b"* LIST () NIL {%b}\r\nabc" % announced), frozenset())
    with pytest.raises(ConnectionLost):
        list(fetch.messages(canned(b"* 1 FETCH (UID 1 BODY[] {%b}\r\nabc" % announced), [1], sizes=None, at_once=1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20


def test_a_line_of_brackets_is_read_in_one_go_and_not_kept() -> None:
    assert len(tokens(Response(b"BODY[ " * 300_000))) == 300_000
    for bomb in (b"(" * 2_000_000, b"() " * 2_000_000, b"a " * 2_000_000):
        with pytest.raises(ConnectionLost):
            tokens(Response(bomb))


def test_a_server_that_never_comes_to_an_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imap.wire._MOST_OCTETS", 100_000)
    for flood in (b"* OK still here\r\n", b"* LIST () NIL {1000}\r\n" + bytes(1000) + b"\r\n", b"+ go on\r\n"):
        wire = canned(flood * 10_000 + b"R1 OK\r\n")
        with pytest.raises(ConnectionLost):
            wire.run(b"NOOP", what="waiting")
        assert wire.dead


def test_messages_that_are_only_counted_are_not_asked_for_one_by_one() -> None:
    rules: dict[str, list[Reply]] = {
        "EXAMINE": [b"* 4294967295 EXISTS\r\n* OK [UIDVALIDITY 7]\r\nTAG OK\r\n"],
        "SEARCH": [b"* SEARCH 3 4\r\nTAG OK\r\n"],
        "^FETCH 1:10000 ": [b"* 1 FETCH (UID 3)\r\n* 2 FETCH (UID 4)\r\nTAG OK\r\n"],
    }
    with scripted_session(rules, capabilities=b"IMAP4rev1") as (session, server):
        assert list(session.uids()) == [(3, 4)]
        assert len(server.commands("FETCH")) == 2


@pytest.mark.parametrize("capabilities", [b"IMAP4rev1", b"IMAP4rev1 ESEARCH"])
@pytest.mark.parametrize("span", [(1, None), (2, 4294967295)])
def test_uids_that_are_more_than_the_messages_are_counted_through(
    capabilities: bytes, span: tuple[int, int | None]
) -> None:
    walked = b"".join(b"* %d FETCH (UID %d)\r\n" % (n, n + 1) for n in range(1, 10))
    rules: dict[str, list[Reply]] = {
        "RETURN": [b'* ESEARCH (TAG "TAG") UID ALL 1:4294967295\r\nTAG OK\r\n'],
        "SEARCH": [b"* SEARCH " + b" ".join(b"%d" % n for n in range(1, 99)) + b"\r\nTAG OK\r\n"],
        "^FETCH 1:9 ": [walked + b"TAG OK\r\n"],
    }
    with scripted_session(rules, capabilities=capabilities) as (session, _):
        assert list(session.uids(*span)) == [(2, 10)]


def test_an_answer_to_a_command_not_given_yet_is_not_taken_for_a_later_ones() -> None:
    wire = canned(b"R2 OK too early\r\nR1 OK\r\n* SEARCH 1 2\r\nR2 OK\r\n")
    with pytest.raises(ConnectionLost):
        wire.run(b"NOOP", what="waiting")
    assert wire.dead


def test_how_many_messages_there_are_is_heard_in_any_case() -> None:
    wire = canned(b"* 5 exists\r\n* 2 Expunge \r\n* vanished 7:8\r\nR1 OK\r\n", exists=0)
    wire.run(b"NOOP", what="waiting")
    assert wire.exists == 2


@pytest.mark.parametrize("code", [b"7 " + b"9" * 30, b"7 1:*", b"seven 1", b"7 1,2", b"7 ()", b"9" * 30 + b" 1", b"7"])
def test_a_message_is_stored_whatever_the_server_says_of_its_uid(code: bytes) -> None:
    wire = canned(b"R1 OK [APPENDUID " + code + b"] done\r\n")
    [stored] = append(wire, b"INBOX", [Outgoing(b"Subject: hi\r\n\r\n")], frozenset(), name="INBOX")
    assert (stored.error, stored.uid in {None, 1}) == (None, True)


def test_a_uid_beyond_all_uids_is_no_message() -> None:
    flags = b"* 1 FETCH (UID 99999999999 FLAGS (x))\r\n* 2 FETCH (UID 4294967296 FLAGS (x))\r\n"
    wire = canned(flags + b"* 3 FETCH (UID 4294967295 FLAGS (y))\r\nR1 OK\r\n")
    assert list(scan.changed_since(wire, 1)) == [(4294967295, ("y",))]


def test_a_pop3_server_that_never_comes_to_an_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imap.pop_line._MOST_OCTETS", 10_000)
    for answers in (
        b"+OK\r\n" + b"X-WORD\r\n" * 10_000 + b".\r\n",
        b"-ERR\r\n+OK\r\n" + b"1 99\r\n" * 10_000 + b".\r\n",
        b"-ERR\r\n+OK\r\n1 9\r\n.\r\n-ERR\r\n+OK\r\n" + b"mail\r\n" * 10_000 + b".\r\n",
    ):
        assert isinstance(SERVER["pop"].survives(answers), ConnectionLost)
