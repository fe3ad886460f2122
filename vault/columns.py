"""Columns: how runs of numbers and octet strings lie at rest (docs/vault-format.md §4).

Numbers are stored plane by plane, all first octets, then all second ones, so that zstd sees the zeros together.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import sub

_WIDTH = 8


class ColumnError(ValueError):
    """The octets are not the columns they should be."""


def deltas(numbers: Sequence[int]) -> list[int]:
    """Return the first number, then each one's distance from the one before."""
    return [*numbers[:1], *map(sub, numbers[1:], numbers)]


def undeltas(distances: Iterable[int]) -> list[int]:
    """Return what `deltas` was made from."""
    return list(accumulate(distances))


class ColumnWriter:
    """Collects columns; each is written as its length (4 octets, little-endian) and its octets."""

    def __init__(self) -> None:
        self._parts: list[bytes | bytearray] = []

    def octets(self, data: bytes | bytearray) -> ColumnWriter:
        """Add a column of plain octets."""
        self._parts += (len(data).to_bytes(4, "little"), data)
        return self

    def numbers(self, numbers: Iterable[int]) -> ColumnWriter:
        """Add a column of 64-bit signed numbers, in planes."""
        raw = _little(array("q", numbers)).tobytes()
        return self.octets(b"".join(raw[i::_WIDTH] for i in range(_WIDTH)))

    def strings(self, strings: Sequence[bytes]) -> ColumnWriter:
        """Add two columns: the lengths, then all the strings end to end."""
        return self.numbers(map(len, strings)).octets(b"".join(strings))

    def done(self) -> bytes:
        """Return all columns."""
        return b"".join(self._parts)


class ColumnReader:
    """Reads columns in the order they were written. Every method raises ColumnError where octets are missing."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def octets(self) -> bytes:
        """Return the next column's octets."""
        start = self._at + 4
        end = start + int.from_bytes(self._data[self._at : start], "little")
        if end > len(self._data) or start > len(self._data):
            raise ColumnError("a column runs past the end")
        self._at = end
        return self._data[start:end]

    def numbers(self) -> list[int]:
        """Return the next column's numbers."""
        planes = self.octets()
        count, rest = divmod(len(planes), _WIDTH)
        if rest:
            raise ColumnError("a number column has a broken length")
        raw = bytearray(len(planes))
        # The upper planes of small numbers hold nothing.
        for i in range(-(-len(planes.rstrip(b"\0")) // max(count, 1))):
            raw[i::_WIDTH] = planes[i * count : (i + 1) * count]
        return _little(array("q", raw)).tolist()

    def strings(self) -> list[bytes]:
        """Return the strings of the next two columns."""
        lengths, data = self.numbers(), self.octets()
        if min(lengths, default=0) < 0 or sum(lengths) != len(data):
            raise ColumnError("string lengths don't add up")
        ends = list(accumulate(lengths))
        return [data[end - n : end] for n, end in zip(lengths, ends, strict=True)]

    def fixed(self, width: int) -> list[bytes]:
        """Return the next column cut into strings of one width."""
        data = self.octets()
        if len(data) % width:
            raise ColumnError("a fixed column has a broken length")
        return [data[i : i + width] for i in range(0, len(data), width)]

    def done(self) -> None:
        """Insist that nothing is left over."""
        if self._at != len(self._data):
            raise ColumnError("octets left over after the last column")


def _little(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
