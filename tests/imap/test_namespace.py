"""Whose a mailbox is, by its name and the server's NAMESPACE."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imap.model import Login, Namespace, Namespaces
from imap.namespace import owners, parse_namespaces
from imap.session import open_session
from imap.tokens import Response
from tests.imap.scripted import PASSWORD, Reply, Script, scripted

CYRUS = Namespaces((Namespace(b"INBOX.", "."),), (Namespace(b"user.", "."),), (Namespace(b"", "."),))
COURIER = b'* NAMESPACE (("INBOX." ".")) NIL (("#shared." ".")("shared." "."))'


def test_the_longest_prefix_that_fits_says_whose_a_mailbox_is() -> None:
    assert owners(CYRUS)(b"INBOX") == ("", b"")
    assert owners(CYRUS)(b"INBOX.Sent") == ("", b"INBOX.")
    assert owners(CYRUS)(b"user.bob.Team") == ("other", b"user.")
    assert owners(CYRUS)(b"user") == ("other", b"user.")
    assert owners(CYRUS)(b"News") == ("shared", b"")


def test_where_two_namespaces_have_one_prefix_a_mailbox_is_the_users_own() -> None:
    both = Namespaces((Namespace(b"", "/"),), (), (Namespace(b"", "/"),))
    assert owners(both)(b"Work")[0] == ""


def test_what_no_namespace_holds_is_the_users_own() -> None:
    assert owners(Namespaces((Namespace(b"INBOX.", "."),)))(b"Work")[0] == ""
    assert owners(None)(b"Work")[0] == ""


@given(name=st.text("abIN./", max_size=8), prefixes=st.lists(st.text("abIN./", max_size=4), min_size=3, max_size=3))
def test_an_own_mailbox_is_never_taken_for_anothers_where_the_own_prefix_fits_best(
    name: str, prefixes: list[str]
) -> None:
    own, other, shared = ((Namespace(prefix.encode(), "/"),) for prefix in prefixes)
    kind, prefix = owners(Namespaces(own, other, shared))(name.encode())
    if name.startswith(prefixes[0]) and len(prefixes[0]) >= max(map(len, prefixes[1:])):
        assert kind == ""
    if kind:
        assert (name + "/").startswith(prefix.decode())


def test_several_namespaces_of_a_kind_and_none_are_read() -> None:
    told = parse_namespaces([Response(COURIER)])
    assert told is not None
    assert (told.personal[0].prefix, told.other) == (b"INBOX.", ())
    assert [space.prefix for space in told.shared] == [b"#shared.", b"shared."]
    assert parse_namespaces([Response(b"* NAMESPACE NIL NIL NIL")]) is None


def test_a_namespace_that_is_hidden_from_the_listing_is_asked_for_on_request() -> None:
    rules: dict[str, list[Reply]] = {
        "^NAMESPACE": [COURIER + b"\r\nTAG OK\r\n"],
        'LIST "" "#shared': [b'* LIST () "." #shared.News\r\nTAG OK\r\n'],
        '^LIST "" "\\*"': [b'* LIST () "." INBOX\r\nTAG OK\r\n'],
        "^STATUS .?INBOX": [b"* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\r\nTAG OK\r\n"],
        "^STATUS .?#": [b"* STATUS #shared.News (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\r\nTAG OK\r\n"],
    }
    words = b"IMAP4rev1 NAMESPACE"
    script = Script(rules, b"* OK [CAPABILITY " + words + b"] hi\r\n", words)
    with (
        scripted(script) as server,
        open_session(server.endpoint(), Login(lambda: PASSWORD), timeout=10) as session,
    ):
        assert [m.name for m in session.look()] == ["INBOX"]
        found = {m.name: (m.namespace, m.namespace_prefix) for m in session.look({"", "shared"})}
    assert found == {"INBOX": ("", ""), "#shared.News": ("shared", "#shared.")}
