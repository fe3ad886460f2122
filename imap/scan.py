"""Scans of an open mailbox: which UIDs are there, with which flags, dates and sizes.

In windows, so that a mailbox of any size takes little memory; each window is read to its end before it is handed out,
so other commands may come between.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise

from imap.errors import Refused
from imap.model import Facts, Headers
from imap.profiles import Profile
from imap.refusal import refusal
from imap.sets import Range, insist_on_uids, parse_ranges, ranges_of, split, write_range, write_set
from imap.tokens import Response, Status, Value, fetch_attributes, garbage, kind_of, number
from imap.wire import Wire

WINDOW = 10_000
_HIGHEST_UID = 0xFFFFFFFF
_FACTS_AT_ONCE = 1000
_HEADERS_AT_ONCE = 500
_FIELDS = b"BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)]"
_FLAGS_LINE = re.compile(
    rb"\* \d+ FETCH \((?:UID (\d{1,10}) FLAGS \(([^()]*)\)|FLAGS \(([^()]*)\) UID (\d{1,10}))(?: MODSEQ \(\d+\))?\)"
)
_PAGE = re.compile(rb" PARTIAL \(\S+ ([0-9:,]+)\)", re.IGNORECASE)

UidFlags = tuple[int, tuple[str, ...]]
_seen_lists: dict[bytes, tuple[str, ...]] = {}


def uids(wire: Wire, first: int, last: int | None, profile: Profile, *, whole: bool) -> Iterator[Range]:
    """Return the UIDs present from `first` to `last` as ascending ranges; `whole` says that this is the whole mailbox.

    Where SEARCH gives fewer than the mailbox has, the messages are counted through: some servers cap its answer. So
    they are where it gives more: nobody should ask for four thousand million messages because a server says so.
    """
    if not wire.exists:
        return iter(())
    if profile.pages:
        paged = array("Q", _paged(wire, first, last, profile.most_at_once or _FACTS_AT_ONCE))
        return _within(ranges_of(paged), first, last)
    found = _searched(wire, first, last, esearch=profile.esearch)
    searched = _count(found())
    if not profile.uid_only and (searched > wire.exists or (whole and searched < wire.exists)):
        walked = array("Q", _walked(wire))
        if len(walked) > searched or searched > wire.exists:
            return _within(ranges_of(walked), first, last)
    return found()


def _paged(wire: Wire, first: int, last: int | None, most: int) -> Iterator[int]:
    """Yield the UIDs present by pages of so many (RFC 9394 §3.1), each from where the one before ended, up to none.

    By UID and not by position, which every EXPUNGE in between would shift.
    """
    count, bound = 0, 2 * wire.exists + most
    while last is None or first <= last:
        command = b"UID SEARCH RETURN (PARTIAL 1:%d) UID " % most + _span(first, last)
        responses, _ = wire.run(command, what="listing the UIDs")
        found = [m[1] for r in responses if (m := _PAGE.search(r.text)) and kind_of(r)[0] == b"ESEARCH"]
        pairs = [pair for text in found for pair in _within(parse_ranges(text), first, last)]
        count += _count(pairs)
        if not pairs:
            return
        if count > bound + wire.exists:
            raise garbage()
        for low, high in sorted(pairs):
            yield from range(max(low, first), high + 1)
            first = max(first, high + 1)


def _searched(wire: Wire, first: int, last: int | None, *, esearch: bool) -> Callable[[], Iterator[Range]]:
    criterion = b"ALL" if first <= 1 and last is None else b"UID " + _span(first, last)
    if esearch:
        responses, status = wire.ask(b"UID SEARCH RETURN (ALL) " + criterion, what="listing the UIDs")
        texts = [
            m[1] for r in responses if (m := re.search(rb" ALL ([0-9:,]+)", r.text)) and kind_of(r)[0] == b"ESEARCH"
        ]
        if status.ok and texts:
            return lambda: _within((pair for text in texts for pair in parse_ranges(text)), first, last)
        if status.ok and any(kind_of(r)[0] == b"ESEARCH" for r in responses):
            return lambda: iter(())
    responses, _ = wire.run(b"UID SEARCH " + criterion, what="listing the UIDs")
    numbers = array("Q")
    for response in responses:
        if kind_of(response)[0] == b"SEARCH":
            insist_on_uids(response.text)
            numbers.extend(int(m[0]) for m in re.finditer(rb"\d+", response.text))
    ordered = all(a < b for a, b in pairwise(numbers))
    ascending = numbers if ordered else array("Q", sorted(set(numbers)))
    return lambda: _within(ranges_of(ascending), first, last)


def _within(pairs: Iterable[Range], first: int, last: int | None) -> Iterator[Range]:
    """Clip to what was asked: `500:*` is answered with the newest message even when its UID is 3 (RFC 9051 §9)."""
    for lowest, highest in pairs:
        low, high = max(lowest, first), highest if last is None else min(highest, last)
        if low <= high:
            yield low, high


def _walked(wire: Wire) -> Sequence[int]:
    """Return UIDs by message number. Numbers stand still meanwhile: no EXPUNGE comes during FETCH (RFC 9051 §7.5.1)."""
    found = array("Q")
    position, end = 1, wire.exists
    while position <= end:
        span = (position, min(position + WINDOW - 1, end))
        window: dict[int, dict[bytes, Value]] = {}
        tag = wire.start(b"FETCH " + write_range(span) + b" (UID)", what="counting the messages")
        _checked(wire.feed(tag, partial(_take, found=window), what="counting the messages"))
        if not window:
            break  # numbers have no holes, so the server counts messages that are not there
        found.extend(sorted(window))
        position = span[1] + 1
    return found


def _checked(status: Status) -> None:
    if not status.ok:
        raise refusal(status, "reading the mailbox")


def _cut_at(status: Status) -> int | None:
    """Return the lowest UID that a command got to, from the highest down, where the server cut it (RFC 9738 §3)."""
    words = status.code.split(b" ")
    return number(words[2]) if status.code_name == "MESSAGELIMIT" and len(words) == 3 else None


def flags(wire: Wire, first: int, last: int | None, profile: Profile, *, whole: bool) -> Iterator[UidFlags]:
    r"""Yield (UID, flags) ascending; flags sorted, without `\Recent`."""
    if not wire.exists:
        return
    at_once = min(WINDOW, profile.most_at_once or WINDOW)
    if wire.exists <= at_once:
        yield from _flags_of_span(wire, (first, last))
        return
    for span in _spans(uids(wire, first, last, profile, whole=whole), at_once):
        yield from _flags_of_span(wire, span)


def _spans(pairs: Iterable[Range], at_once: int) -> Iterator[Range]:
    """Join ranges to spans of at most `at_once` messages; the holes between cost nothing."""
    low = high = count = 0
    for first, last in pairs:
        start = first
        while start <= last:
            take = min(last - start + 1, at_once - count)
            low = low or start
            high, count, start = start + take - 1, count + take, start + take
            if count == at_once:
                yield low, high
                low = count = 0
    if count:
        yield low, high


def _flags_of_span(wire: Wire, span: tuple[int, int | None], modifier: bytes = b"") -> list[UidFlags]:
    found: dict[int, tuple[str, ...]] = {}
    first, last = span
    end = last
    while end is None or first <= end:
        tag = wire.start(b"UID FETCH " + _span(first, end) + b" (UID FLAGS)" + modifier, what="reading flags")
        status = wire.feed(tag, partial(_take_flags, found=found), what="reading flags")
        _checked(status)
        lowest = _cut_at(status)
        if lowest is None or (end is not None and lowest > end):
            break
        end = lowest - 1
    return sorted((u, f) for u, f in found.items() if first <= u <= (last or _HIGHEST_UID))


def _take_flags(response: Response, found: dict[int, tuple[str, ...]]) -> None:
    match = _FLAGS_LINE.fullmatch(response.text)
    if match is not None:
        found[int(match[1] or match[4])] = _flag_list(match[2] if match[1] else match[3])
        return
    attributes = fetch_attributes(response)
    if attributes and (uid := uid_of(attributes)) and b"FLAGS" in attributes:
        found[uid] = flags_of(attributes[b"FLAGS"])


def changed_since(wire: Wire, modseq: int) -> list[UidFlags]:
    """Return (UID, flags) of messages whose mod-sequence is above `modseq` (RFC 7162 §3.1.4.1)."""
    if not wire.exists:
        return []
    return _flags_of_span(wire, (1, None), b" (CHANGEDSINCE %d)" % modseq)


def facts(wire: Wire, wanted: Sequence[int], server_id: bytes) -> Iterator[Facts]:
    """Yield Facts for those of the UIDs that the server knows, ascending within each window."""
    for window in split(wanted, count=_FACTS_AT_ONCE):
        for uid, attributes in _attributes(wire, window, _fact_items(server_id)):
            yield _facts(uid, attributes, server_id)


def ask_facts_from(wire: Wire, first: int, server_id: bytes) -> bytes:
    """Ask for the facts of all messages from a UID on; return the tag for `facts_from`."""
    return wire.start(b"UID FETCH %d:* (" % first + _fact_items(server_id) + b")", what="reading")


def facts_from(wire: Wire, tag: bytes, server_id: bytes) -> dict[int, Facts] | None:
    """Return what was told whole of each message, the newest one whatever its UID is; None where it was refused."""
    found: dict[int, dict[bytes, Value]] = {}
    status = wire.feed(tag, partial(_take, found=found), what="reading messages")
    told = {uid: _facts(uid, attributes, server_id) for uid, attributes in found.items()}
    return {uid: fact for uid, fact in told.items() if not fact.untold and fact.size} if status.ok else None


def _fact_items(server_id: bytes) -> bytes:
    return b"UID FLAGS INTERNALDATE RFC822.SIZE" + (b" " + server_id if server_id else b"")


def _facts(uid: int, attributes: dict[bytes, Value], server_id: bytes) -> Facts:
    flags, date = attributes.get(b"FLAGS"), _text(attributes.get(b"INTERNALDATE"))
    told = {"flags": isinstance(flags, list), "date": bool(date)}
    return Facts(
        uid,
        flags_of(flags) if told["flags"] else (),
        date,
        _size(attributes.get(b"RFC822.SIZE")),
        _server_id(attributes.get(server_id)),
        " and ".join(name for name, is_told in told.items() if not is_told),
    )


def headers(wire: Wire, wanted: Sequence[int]) -> Iterator[Headers]:
    """Yield the four header fields, size and date of those of the UIDs that the server knows."""
    for window in split(wanted, count=_HEADERS_AT_ONCE):
        for uid, attributes in _attributes(wire, window, b"UID INTERNALDATE RFC822.SIZE " + _FIELDS):
            body = next((v for k, v in attributes.items() if k.startswith(b"BODY[")), None)
            yield Headers(
                uid,
                body if isinstance(body, bytes) else b"",
                _size(attributes.get(b"RFC822.SIZE")),
                _text(attributes.get(b"INTERNALDATE")),
            )


def present(wire: Wire, wanted: Sequence[int]) -> set[int]:
    """Return those of the UIDs that are in the mailbox now."""
    found: set[int] = set()
    for window in split(wanted, count=_FACTS_AT_ONCE):
        found.update(uid for uid, _ in _attributes(wire, window, b"UID"))
    return found


def _attributes(wire: Wire, window: Sequence[int], items: bytes) -> list[tuple[int, dict[bytes, Value]]]:
    """Fetch attributes of some UIDs; one message that the server chokes on does not take the others with it."""
    command = b"UID FETCH " + write_set(window) + b" (" + items + b")"
    found: dict[int, dict[bytes, Value]] = {}
    rest: Sequence[int] = ()
    try:
        status = wire.feed(wire.start(command, what="reading"), partial(_take, found=found), what="reading messages")
        _checked(status)
        if (lowest := _cut_at(status)) is not None:
            rest = [uid for uid in window if uid < lowest]
    except Refused:
        if len(window) > 1:
            half = len(window) // 2
            return _attributes(wire, window[:half], items) + _attributes(wire, window[half:], items)
    asked = set(window)
    cut_off = _attributes(wire, rest, items) if 0 < len(rest) < len(window) else []
    return cut_off + sorted((uid, a) for uid, a in found.items() if uid in asked)


def _take(response: Response, found: dict[int, dict[bytes, Value]]) -> None:
    attributes = fetch_attributes(response)
    if attributes and (uid := uid_of(attributes)):
        found.setdefault(uid, {}).update(attributes)


def uid_of(attributes: dict[bytes, Value]) -> int:
    """Return the UID among FETCH attributes, 0 where there is none."""
    uid = number(attributes.get(b"UID")) or 0
    return uid if uid <= _HIGHEST_UID else 0


def flags_of(value: Value) -> tuple[str, ...]:
    r"""Return a list of flags sorted, octets above 127 as Latin-1, without `\Recent`, which is nobody's to keep.

    Raises ConnectionLost for what is no list: a NIL is not a message without flags.
    """
    if not isinstance(value, list):
        raise garbage()
    return _flag_list(b" ".join(v for v in value if isinstance(v, bytes)))


def _flag_list(octets: bytes) -> tuple[str, ...]:
    known = _seen_lists.get(octets)
    if known is None:
        if len(_seen_lists) > 5000:
            _seen_lists.clear()
        names = {f.decode("latin-1") for f in octets.split()}
        known = _seen_lists[octets] = tuple(sorted(f for f in names if f.lower() != "\\recent"))
    return known


def _span(first: int, last: int | None) -> bytes:
    return b"%d:*" % first if last is None else write_range((first, last))


def _count(pairs: Iterable[Range]) -> int:
    return sum(last - first + 1 for first, last in pairs)


def _text(value: Value) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else ""


def _size(value: Value) -> int:
    return number(value) or 0


def _server_id(value: Value) -> bytes:
    if isinstance(value, list):
        value = value[0] if value else None
    return value if isinstance(value, bytes) else b""
