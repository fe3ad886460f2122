"""The tokeniser of server responses (RFC 9051 §9): atoms, quoted strings, literals, NIL and nested lists."""

from __future__ import annotations

import re
from typing import NamedTuple, Union

from imap.errors import ConnectionLost

Value = Union[bytes, None, "list[Value]"]
"""An atom, number or string as its octets; NIL as None; a parenthesised list as a list."""


class Response(NamedTuple):
    """One response as it came: its text without the last line end, and the literals for each `{n}` in the text."""

    text: bytes
    literals: tuple[bytes, ...] = ()


class Status(NamedTuple):
    """How a command ended: `OK`, `NO` or `BAD`, the response code without its brackets, and the words."""

    kind: str
    code: bytes
    text: str

    @property
    def ok(self) -> bool:
        """Whether the server did as it was told."""
        return self.kind == "OK"

    @property
    def code_name(self) -> str:
        """The response code's first word in capitals, e.g. `OVERQUOTA`; empty where there is none."""
        return self.code.split(b" ", 1)[0].decode("latin-1").upper()


LITERAL_AT_END = re.compile(rb"\{(\d{1,10})\+?\}\r?\n\Z")
_TOKEN = re.compile(
    rb' *+(?:(?P<open>\()|(?P<close>\))|"(?P<quoted>[^"\\]*+(?:\\.[^"\\]*+)*+)"|~?\{\d+\+?\}\r?(?P<literal>\n)'
    rb"|(?P<atom>(?:BODY|BINARY(?:\.SIZE)?)\[[^\]\r\n]{0,1000}+\](?:<\d+>)?|[^ ()\"\r\n]++))",
    re.IGNORECASE | re.DOTALL,
)
_OPEN, _QUOTED, _LITERAL, _ATOM = (_TOKEN.groupindex[name] for name in ("open", "quoted", "literal", "atom"))
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_STATUS = re.compile(
    rb"\S+ (OK|NO|BAD|BYE|PREAUTH)(?: +(?:\[((?:[^\]\"]|\"[^\"]*\")*+)\] ?)?(.*))?", re.IGNORECASE | re.DOTALL
)
_FETCH = re.compile(rb"\* (?:\d+ FETCH|(\d+) UIDFETCH) ", re.IGNORECASE)
_UNTAGGED = re.compile(rb"\* (?:(\d+) )?([A-Za-z0-9.-]+)")
_LONGEST_NUMBER = 19
_MOST_TOKENS, _DEEPEST = 1_000_000, 100


def tokens(response: Response, start: int = 0) -> list[Value]:
    """Return what a response says from octet `start` on. Raises ConnectionLost where it is not IMAP."""
    text, literals = response.text, iter(response.literals)
    out: list[Value] = []
    stack: list[list[Value]] = []
    position, end = start, len(text.rstrip(b" \r\n"))
    count = 0
    while position < end:
        match = _TOKEN.match(text, position)
        count += 1
        if match is None or count > _MOST_TOKENS or len(stack) > _DEEPEST:
            raise garbage()
        position = match.end()
        kind, value = match.lastindex, match[match.lastindex or 0]
        if kind == _ATOM:
            out.append(None if value.upper() == b"NIL" else value)
        elif kind == _QUOTED:
            out.append(_ESCAPED.sub(rb"\1", value) if b"\\" in value else value)
        elif kind == _OPEN:
            stack.append(out)
            out = []
        elif kind == _LITERAL:
            out.append(next(literals, b""))
        else:
            if not stack:
                raise garbage()
            inner, out = out, stack.pop()
            out.append(inner)
    if stack:
        raise garbage()
    return out


def kind_of(response: Response) -> tuple[bytes, int]:
    """Return an untagged response's kind in capitals and its number: `* 12 EXISTS` gives (b"EXISTS", 12).

    Raises ConnectionLost for a number that is none.
    """
    match = _UNTAGGED.match(response.text)
    if match is None:
        return b"", 0
    count = number(match[1]) if match[1] else 0
    if count is None:
        raise garbage()
    return match[2].upper(), count


def number(value: Value) -> int | None:
    """Return a number of a response (RFC 9051 §9, number64); None for anything else, and for one beyond 63 bits."""
    if not isinstance(value, bytes) or not value.isdigit() or len(value) > _LONGEST_NUMBER:
        return None
    found = int(value)
    return found if found < 1 << 63 else None


def fetch_attributes(response: Response) -> dict[bytes, Value] | None:
    """Return the attributes of a FETCH or UIDFETCH response (RFC 9586), names in capitals; None for any other."""
    match = _FETCH.match(response.text)
    if match is None:
        return None
    parsed = tokens(response, match.end())
    pairs = parsed[0] if parsed else None
    if not isinstance(pairs, list) or len(pairs) % 2:
        raise garbage()
    out: dict[bytes, Value] = {b"UID": match[1]} if match[1] else {}
    for name, value in zip(pairs[::2], pairs[1::2], strict=True):
        if not isinstance(name, bytes):
            raise garbage()
        out[name.upper()] = value
    return out


def parse_status(text: bytes) -> Status | None:
    """Read `A1 NO [CODE args] words` or `* OK …`; None where it is something else."""
    match = _STATUS.fullmatch(text)
    if match is None:
        return None
    return Status(match[1].decode().upper(), match[2] or b"", readable(match[3] or b""))


def readable(octets: bytes, limit: int = 300) -> str:
    """Return a server's words, fit for one line of a report: printable, and not endless."""
    text = octets[:limit].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in text).strip()


def garbage() -> ConnectionLost:
    """Return the error for an answer that no IMAP server gives."""
    return ConnectionLost("the server sent something that is not IMAP", hint="is this the right host and port?")
