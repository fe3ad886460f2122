"""The look at an account: what is there and whether it changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imap.errors import ConnectionLost, Refused
from imap.listing import list_line, status_lines
from imap.model import MailboxStatus
from imap.tokens import Response
from tests.corpus import DOTTED_NAMES, MAILBOX_NAMES, plain_mail
from tests.imap.conftest import Open
from tests.imap.scripted import Reply, scripted_session
from tests.servers import CyrusServer, DovecotServer, Imap4dServer

BARE = {
    "LIST-STATUS",
    "LIST-EXTENDED",
    "SPECIAL-USE",
    "CONDSTORE",
    "QRESYNC",
    "ESEARCH",
    "ENABLE",
    "LITERAL+",
    "ID",
    "NAMESPACE",
}


@pytest.mark.parametrize("without", [(), BARE], ids=["with LIST-STATUS", "bare IMAP4rev1"])
def test_every_mailbox_is_seen_with_its_name_numbers_and_subscription(
    start_dovecot: Callable[..., DovecotServer], open_account: Open, without: set[str]
) -> None:
    server = start_dovecot(location="mdbox:~/mdbox", without=without)
    user = server.new_user()
    names = (*MAILBOX_NAMES, *DOTTED_NAMES, "Sent")
    with server.open(user.name) as raw:
        for number, name in enumerate(names):
            raw.create(name, subscribe=number % 2 == 0)
            raw.append(name, plain_mail(number))
        expected = {name: raw.status(name) for name in names}
        listed = raw.names()
    session = open_account(server, user.name)
    before = session.round_trips
    seen = {mailbox.name: mailbox for mailbox in session.look()}
    assert session.round_trips - before == (2 if without else 1)
    assert sorted(seen) == listed
    for number, name in enumerate(names):
        status = seen[name].status
        assert status is not None
        assert (status.messages, status.uidnext) == (1, 2)
        assert status.uidvalidity == expected[name]["UIDVALIDITY"]
        assert (status.highestmodseq is None) == bool(without)
        assert seen[name].subscribed == (number % 2 == 0)
        assert seen[name].delimiter == "/"
    assert seen["Projects"].status is None
    assert not seen["Projects"].problem
    assert seen["Sent"].special_use == "\\Sent"


def test_the_numbers_stand_while_nothing_happens_and_move_when_something_does(
    dovecot: DovecotServer, open_account: Open
) -> None:
    user = dovecot.new_user()
    session = open_account(dovecot, user.name)
    with dovecot.open(user.name) as raw:
        raw.append("INBOX", plain_mail())
        first = session.look()
        assert session.look() == first
        raw.do("SELECT INBOX")
        raw.do("UID STORE 1 +FLAGS (\\Flagged)")
    [before], [after] = first, session.look()
    assert before.status is not None
    assert after.status is not None
    assert before.status.messages == after.status.messages
    assert before.status.highestmodseq != after.status.highestmodseq


def test_cyrus_is_seen_alike(cyrus: CyrusServer, open_account: Open) -> None:
    user = cyrus.new_user()
    with cyrus.open(user.name) as raw:
        raw.create("Entwürfe", subscribe=True)
        raw.do('CREATE "Weg" (USE (\\Trash))')
        raw.append("Entwürfe", plain_mail())
    session = open_account(cyrus, user.name)
    seen = {mailbox.name: mailbox for mailbox in session.look()}
    assert seen.keys() == {"INBOX", "Entwürfe", "Weg"}
    assert seen["Entwürfe"].subscribed
    assert seen["Entwürfe"].raw == b"Entw&APw-rfe"
    assert seen["Weg"].special_use == "\\Trash"
    assert session.server_id_kind == "EMAILID"


def listing(*lines: bytes) -> dict[str, list[Reply]]:
    return {"^LIST": [b"".join(lines) + b"TAG OK\r\n"]}


def test_names_come_as_atoms_quoted_and_literals_and_other_responses_are_ignored() -> None:
    lines = (
        b'* LIST (\\Subscribed) "/" INBOX\r\n',
        b"* 4 EXISTS\r\n* OK [ALERT] hello {3}\r\n",
        b'* LIST (\\HasNoChildren) "/" {6}\r\nli"te\\\r\n',
        b'* LIST () NIL "quo\\"ted \\\\"\r\n* 3 FETCH (FLAGS (\\Seen))\r\n',
        b'* STATUS {6}\r\nli"te\\ (UIDNEXT 9 MESSAGES 3 UIDVALIDITY 8 HIGHESTMODSEQ 0 X 5)\r\n',
        b'* STATUS inbox (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 HIGHESTMODSEQ 4)\r\n* LIST () "\\\\" NIL\r\n',
    )
    answer: dict[str, list[Reply]] = {"^STATUS": [b"TAG NO [SERVERBUG] broken\r\n"]}
    with scripted_session(listing(*lines) | answer) as (session, server):
        seen = {mailbox.name: mailbox for mailbox in session.look()}
        assert len(server.commands("STATUS")) == 2
    assert seen.keys() == {"INBOX", 'li"te\\', 'quo"ted \\', "NIL"}
    assert seen["INBOX"].subscribed
    assert seen["INBOX"].status == MailboxStatus(1, 2, 3, 4)
    assert seen['li"te\\'].status == MailboxStatus(3, 9, 8, None)
    assert seen['quo"ted \\'].problem == "the server says: broken"
    assert seen['quo"ted \\'].delimiter is None
    assert seen["NIL"].delimiter == "\\"


@given(st.text('a/"\\()[]{}1 &%*nilNIL\r\n', max_size=8), st.booleans())
@example("NIL", False)
@example("nil", True)
def test_a_status_line_read_at_once_says_what_its_tokens_say(name: str, quoted: bool) -> None:
    told = f'"{name}"' if quoted else name
    line = f"* STATUS {told} (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)".encode()
    by_tokens = next(status_lines(Response(line + b" ")), None)  # what ends in a blank is not plain
    if by_tokens is not None:
        assert next(status_lines(Response(line))) == by_tokens


@given(
    st.text("\\Az0- {}(", max_size=6),
    st.sampled_from(["NIL", "nil", '"/"', '"\\"', '"\\\\"', '"."', "x", '""', '" "']),
    st.text('a/"\\()[]{}1 &%*nilNIL\r\n', max_size=8),
    st.booleans(),
)
@example("", '"/"', "nil", False)
@example("\\HasNoChildren \\Subscribed", '"/"', "nil", True)
def test_a_list_line_read_at_once_says_what_its_tokens_say(
    attributes: str, delimiter: str, name: str, quoted: bool
) -> None:
    told = f'"{name}"' if quoted else name
    line = f"* LIST ({attributes}) {delimiter} {told}".encode()
    try:
        by_tokens = list_line(Response(line + b" "), b"LIST")  # what ends in a blank is not plain
    except ConnectionLost:
        with pytest.raises(ConnectionLost):
            list_line(Response(line), b"LIST")
    else:
        assert list_line(Response(line), b"LIST") == by_tokens


@pytest.mark.parametrize(
    "line, told",
    [
        (b'* LIST (\\HasNoChildren \\Sent) "/" INBOX', ((b"\\HasNoChildren", b"\\Sent"), b"/", b"INBOX")),
        (b'* list () "." "two words"', ((), b".", b"two words")),
        (b'* LIST (\\NonExistent) NIL "caf\xc3\xa9"', ((b"\\NonExistent",), None, b"caf\xc3\xa9")),
    ],
)
def test_a_line_as_most_servers_write_it_needs_no_tokens(
    line: bytes, told: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("imap.listing.tokens")
    assert list_line(Response(line), b"LIST") == told
    assert list_line(Response(line.upper().replace(b"LIST", b"LSUB", 1)), b"LSUB") is not None
    assert list_line(Response(b"* STATUS INBOX (MESSAGES 1)"), b"LIST") is None


def test_names_that_imap4d_writes_bare_are_read(imap4d: Imap4dServer, open_account: Open) -> None:
    user = imap4d.new_user()
    names = {*MAILBOX_NAMES, "two words", '(a) "b" [c]'}
    with imap4d.open(user.name) as raw:
        for name in names:
            raw.create(name, subscribe=True)
            raw.append(name, plain_mail())
    seen = {mailbox.name: mailbox for mailbox in open_account(imap4d, user.name).look() if mailbox.status}
    assert {name for name, mailbox in seen.items() if mailbox.status and mailbox.status.messages == 1} == names
    assert {name for name, mailbox in seen.items() if mailbox.subscribed} == names


def test_a_status_without_numbers_is_a_problem_of_that_mailbox_alone() -> None:
    rules: dict[str, list[Reply]] = {
        "^LIST": [b'* LIST () "." INBOX\r\n* LIST () "." INBOX.a\r\nTAG OK\r\n'],
        "^LSUB": [b'* LSUB () "." INBOX.a\r\nTAG OK\r\n'],
        '^STATUS "INBOX" ': [b"* STATUS INBOX (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 5)\r\nTAG OK\r\n"],
        '^STATUS "INBOX.a"': [b'* STATUS "INBOX.a" ()\r\nTAG OK\r\n'],
    }
    with scripted_session(rules, capabilities=b"IMAP4rev1") as (session, _):
        inbox, other = session.look()
    assert inbox.status == MailboxStatus(0, 1, 5, None)
    assert not inbox.subscribed
    assert other.subscribed
    assert (other.status, other.problem) == (None, "the server gave no status")


def test_a_server_that_cannot_do_what_it_advertises_is_asked_the_old_way() -> None:
    rules: dict[str, list[Reply]] = {
        "RETURN": [b"TAG BAD unknown\r\n"],
        "^LIST": [b'* LIST () "/" INBOX\r\nTAG OK\r\n'],
        "^STATUS": [b"* STATUS INBOX (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 5)\r\nTAG OK\r\n"],
    }
    with scripted_session(rules) as (session, _):
        [inbox] = session.look()
    assert inbox.status == MailboxStatus(0, 1, 5, None)


def test_a_listing_that_is_refused_is_not_taken_for_an_empty_account() -> None:
    with scripted_session({"^LIST": [b"TAG NO broken\r\n"]}) as (session, _), pytest.raises(Refused, match="broken"):
        session.look()


@pytest.mark.parametrize("line", [b'* LIST ("/" INBOX\r\n', b'* LIST "/" INBOX\r\n', b'* LIST () "/" (INBOX)\r\n'])
def test_a_line_that_cannot_be_read_is_not_left_out(line: bytes) -> None:
    with scripted_session(listing(line)) as (session, _), pytest.raises(ConnectionLost):
        session.look()


@pytest.mark.parametrize("separator, prefix", [("/", ""), (".", "INBOX.")])
@pytest.mark.parametrize("without", [(), {"NAMESPACE"}])
def test_the_place_of_personal_mailboxes_is_told(
    start_dovecot: Callable[..., DovecotServer], open_account: Open, separator: str, prefix: str, without: set[str]
) -> None:
    server = start_dovecot(separator=separator, prefix=prefix, without=without)
    space = open_account(server, server.new_user().name).namespaces().personal[0]
    assert space.delimiter == separator
    assert space.prefix == (b"" if without else prefix.encode())
