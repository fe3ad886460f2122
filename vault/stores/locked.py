"""A store around a store that keeps everything written from deletion for some days."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from vault.clock import Clock
from vault.ids import ObjectName
from vault.stores.base import LockMode, LockStore, ObjectInfo


class ObjectLock(msgspec.Struct, frozen=True):
    """How objects are kept from deletion. Nobody shortens COMPLIANCE; who has the right to bypass, GOVERNANCE."""

    mode: LockMode
    retention: timedelta


class LockedStore:
    """Gives every object that is put a lock of `lock.retention`, unless it is told another time."""

    def __init__(self, store: LockStore, lock: ObjectLock, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.lock = lock

    @property
    def url(self) -> str:
        """The store's address."""
        return self._store.url

    def put(self, name: ObjectName, data: bytes, *, retain_until: datetime | None = None) -> None:
        """Write one object, and lock it."""
        self._store.put(name, data, retain_until=retain_until or self._clock.now() + self.lock.retention)

    def get(self, name: ObjectName, *, start: int = 0, length: int | None = None) -> bytes:
        """Return octets of one object."""
        return self._store.get(name, start=start, length=length)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every object whose name starts with `prefix`."""
        return self._store.list(prefix)

    def stat(self, name: ObjectName) -> ObjectInfo:
        """Say what the store knows of one object."""
        return self._store.stat(name)

    def delete(self, name: ObjectName) -> None:
        """Remove one object for good; a lock refuses."""
        self._store.delete(name)

    def locked_until(self, name: ObjectName) -> datetime | None:
        """Return the end of an object's lock, or None where the store tells of none."""
        return self._store.locked_until(name)

    def extend(self, name: ObjectName, retain_until: datetime) -> None:
        """Keep an object from deletion for longer."""
        self._store.extend(name, retain_until)
