"""Sets of UIDs as the wire writes them: `1:5,7` (RFC 9051 §9, sequence-set)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from imap.tokens import garbage

Range = tuple[int, int]

_ITEM = re.compile(rb"(\d+)(?::(\d+))?")
_NO_UID = re.compile(rb"\d{11}")


def ranges_of(uids: Iterable[int]) -> Iterator[Range]:
    """Join neighbours: 1, 2, 3, 7 become (1, 3), (7, 7). In the order given."""
    first = last = 0
    for uid in uids:
        if first and uid == last + 1:
            last = uid
            continue
        if first:
            yield first, last
        first = last = uid
    if first:
        yield first, last


def parse_ranges(text: bytes) -> Iterator[Range]:
    """Read `1:5,7`, also `5:1`, in the order written; one at a time, for a set may fill megabytes.

    Raises ConnectionLost for numbers that are no UIDs.
    """
    insist_on_uids(text)
    for match in _ITEM.finditer(text):
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        yield (first, last) if first <= last else (last, first)


def insist_on_uids(text: bytes) -> None:
    """Raise ConnectionLost where a text holds a number far beyond what a UID can be (RFC 9051 §9, nz-number)."""
    if _NO_UID.search(text):
        raise garbage()


def write_set(uids: Iterable[int]) -> bytes:
    """Write UIDs as a set; neighbours as a range, nothing that was not asked for."""
    return b",".join(write_range(r) for r in ranges_of(uids))


def write_range(pair: Range) -> bytes:
    """Write one range; a single UID as itself."""
    first, last = pair
    return b"%d" % first if first == last else b"%d:%d" % pair


def split(uids: Sequence[int], *, count: int, octets: int = 6000) -> Iterator[Sequence[int]]:
    """Cut UIDs into pieces of at most `count`, each written in about `octets`: servers limit command lines."""
    start = size = 0
    before = -1
    for position, uid in enumerate(uids):
        if uid != before + 1:
            size += 2 * len(str(uid)) + 2
        if position > start and (position - start >= count or size > octets):
            yield uids[start:position]
            start, size = position, 2 * len(str(uid)) + 2
        before = uid
    if start < len(uids):
        yield uids[start:]
