"""What belongs to a mailbox beside its mail: access lists (ACL, RFC 4314) and annotations (METADATA, RFC 5464).

The server as a whole has annotations too, under the empty name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from imap.arguments import Part, astring
from imap.refusal import refusal
from imap.tokens import Response, Value, kind_of, tokens
from imap.wire import Wire

SERVER = b""
_AT_ONCE = 50
_EVERYTHING = re.compile(r"(?!)")


class Belongings(NamedTuple):
    """What a server told of one mailbox; None where it has no such thing or won't tell.

    `acl` pairs identifiers with rights; `rights` are our own, asked where the list is not ours to see; `metadata` pairs
    entries with octets.
    """

    acl: tuple[tuple[str, str], ...] | None = None
    rights: str | None = None
    metadata: tuple[tuple[str, bytes], ...] | None = None


def belongings(
    wire: Wire, capabilities: frozenset[str], raws: Sequence[bytes], computed: str = ""
) -> dict[bytes, Belongings]:
    """Ask of mailboxes, many at a time, and SERVER among them. `computed` fits entries that the server makes itself."""
    found: dict[bytes, Belongings] = {}
    own = re.compile(computed) if computed else _EVERYTHING
    for start in range(0, len(raws), _AT_ONCE):
        found.update(_ask(wire, capabilities, raws[start : start + _AT_ONCE], own))
    return found


def _ask(
    wire: Wire, capabilities: frozenset[str], raws: Sequence[bytes], computed: re.Pattern[str]
) -> Iterator[tuple[bytes, Belongings]]:
    """Send all questions, then read all answers: each names its mailbox."""
    tags = [
        (raw, verb, wire.start(verb, astring(raw), tail, what="asking for rights and annotations"))
        for raw in raws
        for verb, tail in _questions(capabilities, raw)
    ]
    responses: list[Response] = []
    entries: dict[bytes, dict[str, bytes]] = {}
    for raw, verb, tag in tags:
        told, status = wire.collect(tag, what="asking for rights and annotations")
        responses += told
        if status.ok and verb.startswith(b"GETMETADATA"):
            entries[raw] = {}  # where there is none, some servers say nothing but OK
    by_key = {_key(raw): raw for raw in raws}
    lists = dict(_named(responses, b"ACL", by_key))
    rights = dict(_named(responses, b"MYRIGHTS", by_key))
    for raw, items in _named(responses, b"METADATA", by_key):
        entries.setdefault(raw, {}).update(_entries(items, computed))
    for raw in raws:
        acl = tuple(sorted(_pairs(lists[raw]))) if raw in lists else None
        own = _text(rights[raw][0]) if acl is None and rights.get(raw) else None
        yield raw, Belongings(acl, own, tuple(sorted(entries[raw].items())) if raw in entries else None)


def _questions(capabilities: frozenset[str], raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    if "ACL" in capabilities and raw != SERVER:
        yield b"GETACL ", b""
        yield b"MYRIGHTS ", b""
    if "METADATA" in capabilities or ("METADATA-SERVER" in capabilities and raw == SERVER):
        yield b"GETMETADATA (DEPTH infinity) ", b" (/private /shared)"


def _named(
    responses: Iterable[Response], kind: bytes, by_key: dict[bytes, bytes]
) -> Iterator[tuple[bytes, list[Value]]]:
    for response in responses:
        if kind_of(response)[0] == kind:
            match tokens(response, 2 + len(kind)):
                case [(bytes() | None) as name, *values]:
                    raw = by_key.get(_key(b"NIL" if name is None else name))
                    if raw is not None:
                        yield raw, values


def _pairs(values: Sequence[Value]) -> Iterator[tuple[str, str]]:
    for identifier, rights in zip(values[::2], values[1::2], strict=False):
        if isinstance(identifier, bytes) and isinstance(rights, bytes):
            yield _text(identifier), _text(rights)


def _entries(values: Sequence[Value], computed: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    """Read `(/private/comment "mine" /shared/comment NIL)`; a response without values only says what changed."""
    items = values[0] if values and isinstance(values[0], list) else []
    for name, value in zip(items[::2], items[1::2], strict=False):
        if isinstance(name, bytes) and isinstance(value, bytes):
            entry = _text(name)
            # A mailbox's special use is told by LIST already (RFC 6154 §4).
            if entry.lower() != "/private/specialuse" and not computed.fullmatch(f"{entry}={_text(value)}"):
                yield entry, value


def set_metadata(wire: Wire, raw: bytes, entries: Sequence[tuple[str, bytes]]) -> list[tuple[str, str]]:
    """Set annotations; return those refused with the server's words. Raises Throttled where it wants us to wait."""
    if not entries or _set(wire, raw, entries) is None:
        return []
    words = [(entry, _set(wire, raw, [(entry, value)])) for entry, value in entries]
    return [(entry, reason) for entry, reason in words if reason is not None]


def _set(wire: Wire, raw: bytes, entries: Sequence[tuple[str, bytes]]) -> str | None:
    parts: list[Part] = [b"SETMETADATA ", astring(raw), b" ("]
    for position, (entry, value) in enumerate(entries):
        parts += [b" " * (position > 0), astring(entry.encode()), b" ", astring(value)]
    return _refused(wire, *parts, b")")


def set_rights(wire: Wire, raw: bytes, identifier: str, rights: str) -> str | None:
    """Give an identifier exactly these rights; None, or the words of a refusal. Raises Throttled."""
    return _refused(
        wire, b"SETACL ", astring(raw), b" ", astring(identifier.encode()), b" ", astring(_modern(rights).encode())
    )


def _modern(rights: str) -> str:
    """Leave out `c` and `d`, which stand for some of the others beside them (RFC 4314 §2.1.1)."""
    return "".join(r for r in rights if r not in "cd") if set(rights) & set("kxte") else rights


def _refused(wire: Wire, *parts: Part) -> str | None:
    status = wire.ask(*parts, what="setting rights and annotations")[1]
    if status.ok:
        return None
    error = refusal(status, "setting rights and annotations")
    if error.retryable:
        raise error
    return status.text or status.kind


def _key(raw: bytes) -> bytes:
    return b"INBOX" if raw.upper() == b"INBOX" else raw


def _text(value: Value) -> str:
    octets = value if isinstance(value, bytes) else b""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")
