"""A store around a store that fetches neighbouring octets together, once: a restore reads most of a pack anyway.

A request costs a store tens of milliseconds, whatever its size up to some megabytes; and mail that many received lies
where the first of them is, so restoring several accounts goes to and fro. An object that is asked for once is read in
one place; one that is asked for again is mostly wanted whole. What was fetched is kept as it came, sealed, in a
temporary file without a name.
"""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path

from vault.errors import ObjectCutShort
from vault.ids import ObjectName
from vault.stores.base import ObjectInfo, ReadStore
from vault.stores.lent import LentStore
from vault.stores.local import LocalStore

SPAN = 4 << 20
_MOST_SPANS = 512

_MOST_TOGETHER = 4

_Key = tuple[ObjectName, int]


class _Fetch:
    """Neighbouring spans of one object on their way."""

    def __init__(self, name: ObjectName, numbers: range) -> None:
        self.name = name
        self.numbers = numbers
        self.keys = [(name, number) for number in numbers]
        self.octets: Future[bytes] = Future()


def in_spans(store: ReadStore, size_of: Callable[[ObjectName], int | None], folder: Path | None) -> ReadStore:
    """Return the store, read in spans where a request costs anything: neither in a directory nor where it is lent."""
    return store if isinstance(store, LocalStore | LentStore) else SpanStore(store, size_of, folder)


class SpanStore:
    """Serves ranges out of aligned spans of 4 MiB, up to 2 GiB of them in a file in `folder` (default: the system's).

    `size_of` says how long an object should be, None if unknown.
    """

    def __init__(
        self, store: ReadStore, size_of: Callable[[ObjectName], int | None], folder: Path | None = None
    ) -> None:
        self._store = store
        self._size_of = size_of
        self._folder = folder
        self._lock = threading.Lock()
        self._slots: OrderedDict[_Key, int] = OrderedDict()
        self._sizes: dict[ObjectName, int | None] = {}
        self._free = list(reversed(range(_MOST_SPANS)))
        self._coming: dict[_Key, _Fetch] = {}
        self._begun: set[ObjectName] = set()

    @property
    def url(self) -> str:
        return self._store.url

    def get(self, name: ObjectName, *, start: int = 0, length: int | None = None) -> bytes:
        size = self._size(name)
        if not length or size is None or start + length > size:
            return self._store.get(name, start=start, length=length)
        end = start + length
        try:
            return b"".join(
                self._part(name, size, at, min(end, at - at % SPAN + SPAN))
                for at in (start, *range(start - start % SPAN + SPAN, end, SPAN))
            )
        except ObjectCutShort:
            # Cut off further on: what was asked for may still be there.
            return self._store.get(name, start=start, length=length)

    def _size(self, name: ObjectName) -> int | None:
        if name not in self._sizes:
            self._sizes[name] = self._size_of(name)
        return self._sizes[name]

    def _part(self, name: ObjectName, size: int, start: int, end: int) -> bytes:
        """Return octets that lie in one span; who comes while it is being fetched waits for it."""
        number, offset = divmod(start, SPAN)
        key = (name, number)
        with self._lock:
            if key in self._slots:
                self._slots.move_to_end(key)
                return os.pread(self._file, end - start, self._slots[key] * SPAN + offset)
            fetch = self._coming.get(key)
            mine = fetch is None
            if fetch is None:
                fetch = _Fetch(name, self._numbers(name, number, size))
                self._coming.update(dict.fromkeys(fetch.keys, fetch))
        if mine:
            self._carry_out(fetch, size)
        before = fetch.numbers.start * SPAN
        return fetch.octets.result()[start - before : end - before]

    def _numbers(self, name: ObjectName, number: int, size: int) -> range:
        """Return which spans to fetch with one: on its own at first, then with all around it that is not here yet."""
        first, last, end = number, number, -(-size // SPAN)
        if name in self._begun:
            while first > 0 and last - first + 1 < _MOST_TOGETHER and self._lacks(name, first - 1):
                first -= 1
            while last + 1 < end and last - first + 1 < _MOST_TOGETHER and self._lacks(name, last + 1):
                last += 1
        self._begun.add(name)
        return range(first, last + 1)

    def _lacks(self, name: ObjectName, number: int) -> bool:
        return (name, number) not in self._slots and (name, number) not in self._coming

    def _carry_out(self, fetch: _Fetch, size: int) -> None:
        start, end = fetch.numbers.start * SPAN, min(fetch.numbers.stop * SPAN, size)
        try:
            fetch.octets.set_result(self._store.get(fetch.name, start=start, length=end - start))
        except BaseException as error:  # noqa: BLE001 handed to whoever waits
            fetch.octets.set_exception(error)
        with self._lock:
            for key in fetch.keys:
                del self._coming[key]
            if not fetch.octets.exception():
                octets = memoryview(fetch.octets.result())
                for at, key in enumerate(fetch.keys):
                    self._keep(key, octets[at * SPAN : (at + 1) * SPAN])

    def _keep(self, key: _Key, octets: memoryview) -> None:
        slot = self._free.pop() if self._free else self._slots.popitem(last=False)[1]
        try:
            whole = os.pwrite(self._file, octets, slot * SPAN) == len(octets)
        except OSError:
            whole = False  # a full disk costs only another request
        if whole:
            self._slots[key] = slot
        else:
            self._free.append(slot)

    @cached_property
    def _file(self) -> int:
        with tempfile.TemporaryFile(dir=self._folder) as file:
            descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, descriptor)
        return descriptor

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return self._store.list(prefix)

    def stat(self, name: ObjectName) -> ObjectInfo:
        return self._store.stat(name)
