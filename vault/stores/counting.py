"""A store around a store that counts what passes through."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime

from vault.ids import ObjectName
from vault.stores.base import ObjectInfo, WriteStore


class CountingStore:
    """Counts puts and their octets, once they succeed."""

    def __init__(self, store: WriteStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self.puts = 0
        self.put_octets = 0

    @property
    def url(self) -> str:
        return self._store.url

    def put(self, name: ObjectName, data: bytes, *, retain_until: datetime | None = None) -> None:
        self._store.put(name, data, retain_until=retain_until)
        with self._lock:
            self.puts += 1
            self.put_octets += len(data)

    def get(self, name: ObjectName, *, start: int = 0, length: int | None = None) -> bytes:
        return self._store.get(name, start=start, length=length)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return self._store.list(prefix)

    def stat(self, name: ObjectName) -> ObjectInfo:
        return self._store.stat(name)
