"""Opening a mailbox with EXAMINE or SELECT, with CONDSTORE or QRESYNC where the server has them (RFC 7162)."""

from __future__ import annotations

from collections.abc import Iterable

from imap.model import Opened
from imap.scan import flags_of, uid_of
from imap.sets import Range, parse_ranges
from imap.tokens import Response, Value, fetch_attributes, kind_of, parse_status, tokens
from imap.wire import Part, Wire, astring


def open_mailbox(
    wire: Wire, verb: bytes, raw: bytes, *, name: str, condstore: bool, known: tuple[int, int] | None
) -> Opened:
    """Open a mailbox. `known` is (UIDVALIDITY, mod-sequence) for QRESYNC; the rest must have been enabled before.

    Raises Refused when the mailbox is gone or not ours to open.
    """
    parts: list[Part] = [verb + b" ", astring(raw)]
    if known is not None:
        parts.append(b" (QRESYNC (%d %d))" % known)
    elif condstore:
        parts.append(b" (CONDSTORE)")
    wire.exists = 0
    responses, _ = wire.run(*parts, what=f"opening {name}")
    return _opened(responses, known)


def _opened(responses: Iterable[Response], known: tuple[int, int] | None) -> Opened:
    exists = 0
    codes: dict[bytes, bytes] = {}
    flags: list[Value] = []
    vanished: list[Range] = []
    changed: dict[int, tuple[str, ...]] = {}
    for response in responses:
        kind, number = kind_of(response)
        match kind:
            case b"EXISTS":
                exists = number
            case b"OK":
                status = parse_status(response.text)
                if status and status.code:
                    code, _, rest = status.code.partition(b" ")
                    codes[code.upper()] = rest
            case b"FLAGS":
                flags = tokens(response, 8)
            case b"VANISHED":
                vanished.extend(vanished_ranges(response))
            case b"FETCH":
                attributes = fetch_attributes(response) or {}
                if (uid := uid_of(attributes)) and b"FLAGS" in attributes:
                    changed[uid] = flags_of(attributes[b"FLAGS"])
    uidvalidity = _number(codes.get(b"UIDVALIDITY")) or 0
    caught_up = known is not None and known[0] == uidvalidity
    return Opened(
        uidvalidity=uidvalidity,
        uidnext=_number(codes.get(b"UIDNEXT")),
        exists=exists,
        highestmodseq=_number(codes.get(b"HIGHESTMODSEQ")) or None,
        permanent_flags=_permanent(codes, flags),
        vanished=tuple(sorted(vanished)) if caught_up else None,
        changed=tuple(sorted(changed.items())) if caught_up else None,
    )


def vanished_ranges(response: Response) -> list[Range]:
    """Read `* VANISHED (EARLIER) 41,43:116` (RFC 7162 §3.2.10)."""
    last = tokens(response, 11)[-1:]
    return list(parse_ranges(last[0])) if last and isinstance(last[0], bytes) else []


def _permanent(codes: dict[bytes, bytes], flags: list[Value]) -> frozenset[str]:
    """Return what may be stored: PERMANENTFLAGS, or all of FLAGS where it is absent (RFC 9051 §7.1)."""
    if b"PERMANENTFLAGS" in codes:
        flags = tokens(Response(codes[b"PERMANENTFLAGS"]))
    inner = flags[0] if flags else []
    if not isinstance(inner, list):
        return frozenset()
    return frozenset(f.decode("latin-1") for f in inner if isinstance(f, bytes))


def _number(text: bytes | None) -> int | None:
    return int(text) if text and text.isdigit() else None
