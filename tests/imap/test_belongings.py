"""Access lists and annotations as servers may write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imap.belongings import Belongings
from imap.errors import ConnectionLost
from imap.model import Login
from imap.session import open_session
from tests.imap.scripted import PASSWORD, Reply, Script, scripted

WORDS = b"IMAP4rev1 ACL METADATA LITERAL+"
GREETING = b"* OK [CAPABILITY " + WORDS + b"] hi\r\n"


def ask(rules: dict[str, list[Reply]], *raws: bytes, greeting: bytes = GREETING) -> dict[bytes, Belongings]:
    words = greeting[greeting.index(b"IMAP4") : greeting.index(b"]")]
    with (
        scripted(Script(rules, greeting, words)) as server,
        open_session(server.endpoint(), Login(lambda: PASSWORD), timeout=10) as session,
    ):
        return session.belongings(raws)


def written(text: bytes, *, literal: bool) -> bytes:
    if literal:
        return b"{%d}\r\n%b" % (len(text), text)
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


@settings(max_examples=40)
@given(
    entries=st.dictionaries(
        st.from_regex(r"/(private|shared)/[a-z]{1,8}(/[a-z.]{1,8})?", fullmatch=True).filter(
            lambda entry: entry != "/private/specialuse"
        ),
        st.tuples(st.binary(max_size=30), st.booleans()),
        max_size=4,
    )
)
def test_annotations_are_read_octet_for_octet_however_they_are_written(
    entries: dict[str, tuple[bytes, bool]],
) -> None:
    spelled = b" ".join(
        written(entry.encode(), literal=False) + b" " + written(value, literal=literal or not value.isalnum())
        for entry, (value, literal) in entries.items()
    )
    rules: dict[str, list[Reply]] = {"^GETMETADATA": [b"* METADATA Work (" + spelled + b")\r\nTAG OK\r\n"]}
    expected = tuple(sorted((entry, value) for entry, (value, _) in entries.items()))
    assert ask(rules, b"Work")[b"Work"].metadata == expected


def test_what_is_refused_is_unknown_and_what_is_not_there_is_empty() -> None:
    rules: dict[str, list[Reply]] = {
        "^GETACL": [b"TAG NO [NOPERM] not yours\r\n"],
        "^MYRIGHTS": [b"* MYRIGHTS Work lr\r\nTAG OK\r\n"],
        "^GETMETADATA": [b"TAG OK nothing there\r\n", b"TAG NO not yours\r\n"],
    }
    found = ask(rules, b"Work", b"Play")
    assert found[b"Work"] == Belongings(None, "lr", ())
    assert found[b"Play"] == Belongings(None, None, None)


def test_answers_belong_to_the_mailbox_that_they_name() -> None:
    both = b"* ACL Play bob lr\r\n* ACL inbox anna lrs\r\n* ACL Other eve a\r\nTAG OK\r\n"
    found = ask({"^GETACL": [both, b"TAG OK\r\n"]}, b"INBOX", b"Play")
    assert (found[b"INBOX"].acl, found[b"Play"].acl) == ((("anna", "lrs"),), (("bob", "lr"),))
    assert found.keys() == {b"INBOX", b"Play"}


def test_a_special_use_and_what_cyrus_computes_are_no_annotations() -> None:
    cyrus = b"/shared/vendor/cmu/cyrus-imapd"
    entries = b'(/private/specialuse "\\\\Sent" %b/size "4" %b/expire "9")' % (cyrus, cyrus)
    greeting = GREETING.replace(b"hi", b"Cyrus IMAP ready")
    rules: dict[str, list[Reply]] = {"^GETMETADATA": [b"* METADATA Work " + entries + b"\r\nTAG OK\r\n"]}
    found = ask(rules, b"Work", greeting=greeting)
    assert found[b"Work"].metadata == (("/shared/vendor/cmu/cyrus-imapd/expire", b"9"),)


def test_garbage_is_a_lost_connection() -> None:
    with pytest.raises(ConnectionLost):
        ask({"^GETMETADATA": [b'* METADATA Work ("half\r\nTAG OK\r\n']}, b"Work")


def test_a_server_without_either_is_asked_nothing() -> None:
    assert ask({}, b"Work", greeting=b"* OK [CAPABILITY IMAP4rev1] hi\r\n") == {}
