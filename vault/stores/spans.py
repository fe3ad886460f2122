"""A store around a store that fetches neighbouring octets together: a restore reads most of a pack anyway.

A request costs a store tens of milliseconds, whatever its size up to some megabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vault.errors import ObjectCutShort
from vault.ids import ObjectName
from vault.shelf import Shelf
from vault.stores.base import ObjectInfo, ReadStore

SPAN = 4 << 20
_KEPT = 48 << 20
_WORTH_A_REQUEST = 1 << 20


class SpanStore:
    """Serves ranges out of aligned spans of 4 MiB. `size_of` says how long an object should be, None if unknown."""

    def __init__(self, store: ReadStore, size_of: Callable[[ObjectName], int | None]) -> None:
        self._store = store
        self._size_of = size_of
        self._shelf = Shelf(_KEPT)

    @property
    def url(self) -> str:
        return self._store.url

    def get(self, name: ObjectName, *, start: int = 0, length: int | None = None) -> bytes:
        size = self._size_of(name)
        if length is None or length >= _WORTH_A_REQUEST or size is None or start + length > size:
            return self._store.get(name, start=start, length=length)
        try:
            first, last = start // SPAN, (start + length - 1) // SPAN
            spans = b"".join(self._span(name, size, number) for number in range(first, last + 1))
        except ObjectCutShort:
            # Cut off further on: what was asked for may still be there.
            return self._store.get(name, start=start, length=length)
        return spans[start - first * SPAN : start - first * SPAN + length]

    def _span(self, name: ObjectName, size: int, number: int) -> bytes:
        start = number * SPAN
        length = min(SPAN, size - start)
        return self._shelf.get((name, number), lambda: self._store.get(name, start=start, length=length))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return self._store.list(prefix)

    def stat(self, name: ObjectName) -> ObjectInfo:
        return self._store.stat(name)
