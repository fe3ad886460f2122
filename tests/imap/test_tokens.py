"""The tokeniser against everything a server may write, and much that none should."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imap.errors import ConnectionLost
from imap.tokens import Response, Status, Value, fetch_attributes, kind_of, parse_status, tokens

ATOM = st.text(st.sampled_from("abcXYZ019\\$.-_:/&+"), min_size=1).map(str.encode).filter(lambda a: a.upper() != b"NIL")
VALUE: st.SearchStrategy[Value] = st.recursive(
    st.one_of(st.none(), ATOM, st.binary(max_size=40)), lambda inner: st.lists(inner, max_size=4), max_leaves=20
)


def written(value: Value, literals: list[bytes], draw: st.DataObject) -> bytes:
    """Write a value in one of the ways the grammar allows."""
    if value is None:
        return draw.draw(st.sampled_from([b"NIL", b"nil"]))
    if isinstance(value, list):
        return b"(" + b" ".join(written(v, literals, draw) for v in value) + b")"
    ways = ["{%d}", "~{%d}", "{%d+}"]
    if b"\r" not in value and b"\n" not in value and b"\0" not in value:
        ways.append("quoted")
    if value and value.upper() != b"NIL" and all(c > 32 and c not in b'()"{}[]*%' and c < 127 for c in value):
        ways.append("atom")
    match draw.draw(st.sampled_from(ways)):
        case "quoted":
            return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        case "atom":
            return value
        case way:
            literals.append(value)
            return way.encode() % len(value) + b"\r\n"


@given(st.lists(VALUE, max_size=6), st.data())
def test_what_is_written_in_any_form_reads_the_same(values: list[Value], data: st.DataObject) -> None:
    literals: list[bytes] = []
    text = b" ".join(written(value, literals, data) for value in values)
    assert tokens(Response(text, tuple(literals))) == values


@given(st.binary(), st.lists(st.binary(max_size=5), max_size=3))
def test_nonsense_is_read_somehow_or_called_a_lost_connection(text: bytes, literals: list[bytes]) -> None:
    for octets in (text, b"* 1 FETCH " + text, b"* 1 FETCH (" + text + b")"):
        response = Response(octets, tuple(literals))
        kind_of(response)
        parse_status(octets)
        try:
            tokens(response)
            fetch_attributes(response)
        except ConnectionLost:
            continue


def test_a_section_with_blanks_and_brackets_is_one_name() -> None:
    text = b'* 3 FETCH (UID 4 BODY[HEADER.FIELDS ("DATE" FROM)]<0> NIL FLAGS (\\Seen $x]y) EMAILID (M1))'
    assert fetch_attributes(Response(text)) == {
        b"UID": b"4",
        b'BODY[HEADER.FIELDS ("DATE" FROM)]<0>': None,
        b"FLAGS": [b"\\Seen", b"$x]y"],
        b"EMAILID": [b"M1"],
    }


def test_other_responses_are_no_fetch() -> None:
    assert fetch_attributes(Response(b"* 12 EXISTS")) is None
    assert kind_of(Response(b"* 12 EXISTS")) == (b"EXISTS", 12)


@pytest.mark.parametrize(
    "text, status",
    [
        (b"a1 OK done", Status("OK", b"", "done")),
        (b"a1 no [OVERQUOTA] Too much", Status("NO", b"OVERQUOTA", "Too much")),
        (b"* BYE", Status("BYE", b"", "")),
        (b"a1 OK [APPENDUID 7 1:3] ok", Status("OK", b"APPENDUID 7 1:3", "ok")),
        (b'* NO [BADURL "a]b"] words', Status("NO", b'BADURL "a]b"', "words")),
        (b"a1 BAD [unclosed", Status("BAD", b"", "[unclosed")),
        (b"a1 OK bad\x07\xff octets", Status("OK", b"", "bad?\ufffd octets")),
    ],
)
def test_the_end_of_a_command_is_read_with_its_code(text: bytes, status: Status) -> None:
    assert parse_status(text) == status


def test_what_is_no_status_is_not_taken_for_one() -> None:
    assert parse_status(b"a1 WHAT is this") is None
