"""Opening a mailbox with EXAMINE or SELECT, with CONDSTORE or QRESYNC where the server has them (RFC 7162)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from imap.arguments import Part, astring
from imap.model import Facts, Opened
from imap.refusal import refusal
from imap.scan import ask_facts_from, facts_from, flags_of, uid_of
from imap.sets import Range, parse_ranges
from imap.tokens import Response, fetch_attributes, kind_of, number, parse_status, tokens
from imap.wire import Wire


def open_mailbox(
    wire: Wire,
    verb: bytes,
    raw: bytes,
    *,
    name: str,
    condstore: bool,
    known: tuple[int, int] | None,
    ahead: int = 0,
    server_id: bytes = b"",
) -> tuple[Opened, dict[int, Facts] | None]:
    """Open a mailbox. `known` is (UIDVALIDITY, mod-sequence) for QRESYNC; the rest must have been enabled before.

    With `ahead` the facts of all messages from that UID on are asked for in the same breath (RFC 9051 §5.5); None where
    the server would not tell them. Raises Refused when the mailbox is gone or not ours to open.
    """
    parts: list[Part] = [verb + b" ", astring(raw)]
    if known is not None:
        parts.append(b" (QRESYNC (%d %d))" % known)
    elif condstore:
        parts.append(b" (CONDSTORE)")
    wire.exists = 0
    what = f"opening {name}"
    tag = wire.start(*parts, what=what)
    behind = ask_facts_from(wire, ahead, server_id) if ahead else None
    responses, status = wire.collect(tag, what=what)
    # Where the opening is refused, this is about no mailbox, or about the one that was open before.
    facts = facts_from(wire, behind, server_id) if behind else None
    if not status.ok:
        raise refusal(status, what)
    return _opened(responses, known), facts


def _opened(responses: list[Response], known: tuple[int, int] | None) -> Opened:
    ours = _since_closed(responses)
    numbers = dict(kind_of(response) for response in ours)
    codes = dict(_codes(ours))
    uidvalidity = number(codes.get(b"UIDVALIDITY")) or 0
    caught_up = known is not None and known[0] == uidvalidity
    return Opened(
        uidvalidity=uidvalidity,
        uidnext=number(codes.get(b"UIDNEXT")),
        exists=numbers.get(b"EXISTS", 0),
        highestmodseq=number(codes.get(b"HIGHESTMODSEQ")) or None,
        permanent_flags=_permanent(codes, ours),
        vanished=tuple(sorted(_vanished(ours))) if caught_up else None,
        changed=tuple(sorted(_changed(ours).items())) if caught_up else None,
    )


def _since_closed(responses: list[Response]) -> list[Response]:
    """Leave out what is still about the mailbox that was open before (RFC 7162 §3.2.11)."""
    for at, response in enumerate(responses):
        if response.text[:13].upper() == b"* OK [CLOSED]":
            return responses[at + 1 :]
    return responses


def _codes(responses: Iterable[Response]) -> Iterator[tuple[bytes, bytes]]:
    for response in responses:
        if kind_of(response)[0] == b"OK" and (status := parse_status(response.text)) and status.code:
            code, _, rest = status.code.partition(b" ")
            yield code.upper(), rest


def _vanished(responses: Iterable[Response]) -> Iterator[Range]:
    """Read `* VANISHED (EARLIER) 41,43:116` (RFC 7162 §3.2.10)."""
    for response in responses:
        if kind_of(response)[0] == b"VANISHED":
            last = tokens(response, 11)[-1:]
            yield from parse_ranges(last[0]) if last and isinstance(last[0], bytes) else ()


def _changed(responses: Iterable[Response]) -> dict[int, tuple[str, ...]]:
    changed: dict[int, tuple[str, ...]] = {}
    for response in responses:
        attributes = fetch_attributes(response) or {}
        if (uid := uid_of(attributes)) and b"FLAGS" in attributes:
            changed[uid] = flags_of(attributes[b"FLAGS"])
    return changed


def _permanent(codes: dict[bytes, bytes], responses: Iterable[Response]) -> frozenset[str]:
    """Return what may be stored: PERMANENTFLAGS, or all of FLAGS where it is absent (RFC 9051 §7.1)."""
    if b"PERMANENTFLAGS" in codes:
        flags = tokens(Response(codes[b"PERMANENTFLAGS"]))
    else:
        flags = next((tokens(r, 8) for r in responses if kind_of(r)[0] == b"FLAGS"), [])
    inner = flags[0] if flags else []
    if not isinstance(inner, list):
        return frozenset()
    return frozenset(f.decode("latin-1") for f in inner if isinstance(f, bytes))
