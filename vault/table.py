"""Tables: a mailbox's rows by UID, in pages whose bounds depend on the UIDs alone (docs/vault-format.md §6).

A leaf ends after each UID whose hash ends in nine zero bits, a node above it after fifteen, and so on; so a new
message rewrites one leaf and the short path above it, and equal tables have equal roots however they came about.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec

from vault.columns import ColumnError, ColumnReader, ColumnWriter, deltas, undeltas
from vault.ids import BlobId
from vault.internaldate import format_internaldate, parse_internaldate
from vault.model import Flags, MessageRow

Read = Callable[[BlobId], bytes]
Put = Callable[[bytes], BlobId]
FlagRow = tuple[int, Flags]

LEAF_BITS, NODE_BITS = 9, 6
_ROWS, _FLAGS, _NODE = b"R", b"F", b"N"
_NO_SERVER_ID = bytes(8)

RowT = TypeVar("RowT", MessageRow, FlagRow)


class Codec(Protocol[RowT]):
    """How one kind of leaf is written."""

    def encode(self, rows: Sequence[RowT]) -> bytes:
        """Return a leaf's octets; rows ascend by UID."""

    def decode(self, data: bytes) -> list[RowT]:
        """Return a leaf's rows; raises ColumnError."""


class Leaf(NamedTuple):
    """One page below: the last UID in it, how many rows, and the page's blob."""

    last: int
    rows: int
    blob: BlobId


def trailing_zeros(uid: int) -> int:
    """Return how many zero bits the UID's hash ends in (MurmurHash3's 32-bit finaliser); 32 for a hash of zero."""
    x = uid & 0xFFFFFFFF
    x = ((x ^ x >> 16) * 0x85EBCA6B) & 0xFFFFFFFF
    x = ((x ^ x >> 13) * 0xC2B2AE35) & 0xFFFFFFFF
    x ^= x >> 16
    return (x & -x).bit_length() - 1 if x else 32


class RowCodec:
    """Leaves of what never changes."""

    def encode(self, rows: Sequence[MessageRow]) -> bytes:
        """Return a leaf's octets."""
        times = [parse_internaldate(row.internaldate) for row in rows]
        odd = {i: row.internaldate for i, (row, time) in enumerate(zip(rows, times, strict=True)) if time is None}
        columns = ColumnWriter().octets(_ROWS).numbers(deltas([r.uid for r in rows]))
        columns.octets(b"".join(r.blob for r in rows)).numbers(r.size for r in rows)
        columns.numbers(deltas([t[0] if t else 0 for t in times])).numbers(t[1] if t else 0 for t in times)
        columns.octets(b"".join(r.server_id or _NO_SERVER_ID for r in rows))
        return columns.numbers(odd).strings([text.encode("latin-1") for text in odd.values()]).done()

    def decode(self, data: bytes) -> list[MessageRow]:
        """Return a leaf's rows; raises ColumnError."""
        columns = _columns(data, _ROWS)
        uids, blobs, sizes = undeltas(columns.numbers()), columns.fixed(16), columns.numbers()
        epochs, zones = undeltas(columns.numbers()), columns.numbers()
        server_ids, odd, odd_texts = columns.fixed(8), columns.numbers(), columns.strings()
        columns.done()
        if len({len(c) for c in (uids, blobs, sizes, epochs, zones, server_ids)}) > 1 or len(odd) != len(odd_texts):
            raise ColumnError("a page's columns differ in length")
        try:
            dates = [format_internaldate(epoch, zone) for epoch, zone in zip(epochs, zones, strict=True)]
        except (OverflowError, OSError, ValueError):
            raise ColumnError("a page's dates are none") from None
        for i, text in zip(odd, odd_texts, strict=True):
            if not 0 <= i < len(dates):
                raise ColumnError("a page's odd dates point nowhere")
            dates[i] = text.decode("latin-1")
        return [
            MessageRow(uid, BlobId(blob), size, date, b"" if server_id == _NO_SERVER_ID else server_id)
            for uid, blob, size, date, server_id in zip(uids, blobs, sizes, dates, server_ids, strict=True)
        ]


class FlagCodec:
    """Leaves of what does change: flags and keywords, as a list of distinct sets and a column of which."""

    def encode(self, rows: Sequence[FlagRow]) -> bytes:
        """Return a leaf's octets."""
        places: dict[Flags, int] = {}
        which = [places.setdefault(flags, len(places)) for _, flags in rows]
        columns = ColumnWriter().octets(_FLAGS).numbers(deltas([uid for uid, _ in rows])).numbers(which)
        return columns.octets(msgspec.json.encode(list(places))).done()

    def decode(self, data: bytes) -> list[FlagRow]:
        """Return a leaf's rows; raises ColumnError."""
        columns = _columns(data, _FLAGS)
        uids, which, text = undeltas(columns.numbers()), columns.numbers(), columns.octets()
        columns.done()
        try:
            sets = msgspec.json.decode(text, type=list[tuple[str, ...]])
            return [(uid, sets[place]) for uid, place in zip(uids, which, strict=True)]
        except (msgspec.DecodeError, ValueError, IndexError):
            raise ColumnError("a page's flags are broken") from None


class Table(Generic[RowT]):
    """One of a mailbox's two tables, read and changed leaf by leaf."""

    def __init__(self, codec: Codec[RowT], read: Read, root: BlobId | None) -> None:
        self._codec: Codec[RowT] = codec
        self._read = read
        self.leaves: list[Leaf] = list(_leaves(read, root)) if root else []

    @property
    def count(self) -> int:
        """How many rows there are."""
        return sum(leaf.rows for leaf in self.leaves)

    def rows(self) -> Iterator[RowT]:
        """Yield all rows, ascending by UID."""
        for leaf in self.leaves:
            yield from self._load(leaf)

    def pages(self) -> Iterator[tuple[BlobId, Callable[[], list[RowT]]]]:
        """Yield each leaf's blob, and what reads its rows."""
        for leaf in self.leaves:
            yield leaf.blob, partial(self._load, leaf)

    def _load(self, leaf: Leaf) -> list[RowT]:
        return self._codec.decode(self._read(leaf.blob))

    def within(self, ranges: Sequence[tuple[int, int]]) -> Iterator[RowT]:
        """Yield the rows whose UIDs lie in the given ascending ranges, reading only the leaves they touch."""
        start = 0
        for leaf in self.leaves:
            near = [(first, last) for first, last in ranges if first <= leaf.last and last > start]
            start = leaf.last
            if near:
                rows = self._load(leaf)
                yield from (row for row in rows if any(first <= row[0] <= last for first, last in near))

    def update(self, upserts: Iterable[RowT], removed: Collection[int], put: Put) -> list[RowT]:
        """Write the leaves that change: `upserts` replace or add rows by UID, `removed` UIDs go.

        Returns the rows that were replaced or removed.
        """
        fresh: dict[int, RowT] = {row[0]: row for row in upserts}
        touched = sorted({*fresh, *removed})
        dropped: list[RowT] = []
        self.leaves = list(self._rewrite(_assign(self.leaves, touched), fresh, dropped, put))
        return dropped

    def _rewrite(
        self, work: Sequence[tuple[Leaf | None, list[int]]], fresh: dict[int, RowT], dropped: list[RowT], put: Put
    ) -> Iterator[Leaf]:
        """Yield the new leaves; rows of a leaf that lost its end run on into the next."""
        carried: dict[int, RowT] = {}
        for leaf, touched in work:
            if leaf and not touched and not carried:
                yield leaf
                continue
            rows = carried | ({row[0]: row for row in self._load(leaf)} if leaf else {})
            for uid in touched:
                if uid in rows:
                    dropped.append(rows.pop(uid))
                if uid in fresh:
                    rows[uid] = fresh[uid]
            carried = {}
            for chunk, ended in _chunks([rows[uid] for uid in sorted(rows)]):
                if ended:
                    yield self._leaf(chunk, put)
                else:
                    carried = {row[0]: row for row in chunk}
        if carried:
            yield self._leaf(list(carried.values()), put)

    def _leaf(self, rows: list[RowT], put: Put) -> Leaf:
        return Leaf(rows[-1][0], len(rows), put(self._codec.encode(rows)))

    def write_root(self, put: Put) -> BlobId | None:
        """Write the nodes above the leaves and return the root; None for an empty table."""
        level, bits = self.leaves, LEAF_BITS + NODE_BITS
        while level:
            level = [
                Leaf(group[-1].last, sum(leaf.rows for leaf in group), put(_encode_node(group, bits)))
                for group in _groups(level, bits)
            ]
            if len(level) == 1:
                return level[0].blob
            bits += NODE_BITS
        return None


def message_table(read: Read, root: bytes | None) -> Table[MessageRow]:
    """Open a table of what never changes."""
    return Table(RowCodec(), read, BlobId(root) if root else None)


def flag_table(read: Read, root: bytes | None) -> Table[FlagRow]:
    """Open a table of flags."""
    return Table(FlagCodec(), read, BlobId(root) if root else None)


def _assign(leaves: Sequence[Leaf], touched: list[int]) -> list[tuple[Leaf | None, list[int]]]:
    """Say which leaf each touched UID falls into; what lies beyond the last leaf falls into that."""
    if not leaves:
        return [(None, touched)]
    work: list[tuple[Leaf | None, list[int]]] = []
    start = 0
    for leaf in leaves[:-1]:
        end = bisect_right(touched, leaf.last, start)
        work.append((leaf, touched[start:end]))
        start = end
    return [*work, (leaves[-1], touched[start:])]


def _chunks(rows: list[RowT]) -> Iterator[tuple[list[RowT], bool]]:
    """Cut rows after each UID that ends a leaf; the last chunk may lack its end."""
    start = 0
    for i, row in enumerate(rows):
        if trailing_zeros(row[0]) >= LEAF_BITS:
            yield rows[start : i + 1], True
            start = i + 1
    if start < len(rows):
        yield rows[start:], False


def _groups(level: Sequence[Leaf], bits: int) -> Iterator[list[Leaf]]:
    group: list[Leaf] = []
    for leaf in level:
        group.append(leaf)
        if trailing_zeros(leaf.last) >= bits:
            yield group
            group = []
    if group:
        yield group


def _encode_node(group: Sequence[Leaf], bits: int) -> bytes:
    columns = ColumnWriter().octets(_NODE).numbers([bits]).numbers(deltas([leaf.last for leaf in group]))
    return columns.numbers(leaf.rows for leaf in group).octets(b"".join(leaf.blob for leaf in group)).done()


def _leaves(read: Read, node: BlobId) -> Iterator[Leaf]:
    for bits, child in _children(read, node, None):
        if bits == LEAF_BITS + NODE_BITS:
            yield child


def nodes(read: Read, root: bytes | None) -> Iterator[BlobId]:
    """Yield every node of a table, the root first; its leaves are in `Table.leaves`."""
    if root is None:
        return
    yield BlobId(root)
    for bits, child in _children(read, BlobId(root), None):
        if bits > LEAF_BITS + NODE_BITS:
            yield child.blob


def _children(read: Read, node: BlobId, expected: int | None) -> Iterator[tuple[int, Leaf]]:
    """Yield all that hangs below a node, each with that node's bits. They fall by a level's, or this would not end."""
    bits, children = _decode_node(read(node))
    if bits not in range(LEAF_BITS + NODE_BITS, 32 + NODE_BITS + 1, NODE_BITS) or expected not in (None, bits):
        raise ColumnError("a node of another level than its place asks for")
    for child in children:
        yield bits, child
        if bits > LEAF_BITS + NODE_BITS:
            yield from _children(read, child.blob, bits - NODE_BITS)


def _decode_node(data: bytes) -> tuple[int, list[Leaf]]:
    columns = _columns(data, _NODE)
    bits, lasts, counts = columns.numbers(), undeltas(columns.numbers()), columns.numbers()
    blobs = columns.fixed(16)
    columns.done()
    if not (len(bits) == 1 and len(lasts) == len(counts) == len(blobs)):
        raise ColumnError("a node's columns differ in length")
    children = zip(lasts, counts, blobs, strict=True)
    return bits[0], [Leaf(last, count, BlobId(blob)) for last, count, blob in children]


def _columns(data: bytes, kind: bytes) -> ColumnReader:
    columns = ColumnReader(data)
    if columns.octets() != kind:
        raise ColumnError("a page of another kind")
    return columns
