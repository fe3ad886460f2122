"""A store in memory, and what goes wrong with stores: `FaultyStore(store, Dying("put", 3), Cut(name, 100), …)`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from vault.clock import Clock, SystemClock
from vault.errors import ObjectCutShort, ObjectMissing, StoreError, StoreUnavailable
from vault.ids import ObjectName
from vault.stores.base import FullStore, ObjectInfo
from vault.stores.names import check_name


class Killed(BaseException):
    """The process died here."""


class MemoryStore:
    """Objects in a dict; `objects` may be tampered with. `clock` is the store's own."""

    url = "memory://"

    def __init__(self, objects: dict[ObjectName, bytes] | None = None, *, clock: Clock | None = None) -> None:
        self.objects = dict(objects or {})
        self._clock = clock or SystemClock()
        self._times: dict[ObjectName, datetime] = {}
        self._lock = threading.Lock()

    def put(self, name: ObjectName, data: bytes, *, retain_until: datetime | None = None) -> None:
        with self._lock:
            self.objects[check_name(name)] = bytes(data)
            self._times[name] = self._clock.now()

    def get(self, name: ObjectName, *, start: int = 0, length: int | None = None) -> bytes:
        data = self._held(name)
        if start + (length or 0) > len(data):
            raise ObjectCutShort(f"{name} in {self.url} ends before octet {start + (length or 0)}")
        return data[start:] if length is None else data[start : start + length]

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        with self._lock:
            names = sorted(name for name in self.objects if name.startswith(prefix))
        for name in names:
            yield self.stat(name)

    def stat(self, name: ObjectName) -> ObjectInfo:
        return ObjectInfo(name, len(self._held(name)), self._times.get(name, self._clock.now()))

    def delete(self, name: ObjectName) -> None:
        with self._lock:
            self.objects.pop(check_name(name), None)

    def _held(self, name: ObjectName) -> bytes:
        try:
            return self.objects[check_name(name)]
        except KeyError:
            raise ObjectMissing(f"{self.url} holds no {name}") from None


class Fault:
    """Something that goes wrong; by default nothing does. `call` is the name of the store's method."""

    def before(self, call: str, name: str) -> None:
        """Strike before a call has any effect."""

    def after(self, call: str, name: str) -> None:
        """Strike once a call has had its effect."""

    def octets(self, name: ObjectName, data: bytes) -> bytes:
        """Return what an object seems to hold."""
        return data

    def listing(self, prefix: str, found: list[ObjectInfo]) -> list[ObjectInfo]:
        """Return what a listing seems to hold."""
        return found


@dataclass
class Dying(Fault):
    """The process dies at the n-th call of a method, before it has its effect or just after."""

    call: str
    n: int
    late: bool = False

    def before(self, call: str, name: str) -> None:
        if call == self.call:
            self.n -= 1
            if self.n < 0 or (self.n == 0 and not self.late):
                raise Killed

    def after(self, call: str, name: str) -> None:
        if call == self.call and self.n == 0:
            raise Killed


@dataclass
class Unavailable(Fault):
    """The store does not answer calls of a method ("" for any): after `after_calls` good ones, `times` times."""

    call: str = ""
    after_calls: int = 0
    times: float = float("inf")

    def before(self, call: str, name: str) -> None:
        if call.startswith(self.call):
            self.after_calls -= 1
            if self.after_calls < 0 and self.times > 0:
                self.times -= 1
                raise StoreUnavailable("the store does not answer", hint="try again later")


@dataclass
class Flipped(Fault):
    """One bit of an object is another."""

    name: ObjectName
    at: int

    def octets(self, name: ObjectName, data: bytes) -> bytes:
        return flip(data, self.at) if name == self.name else data


@dataclass
class Cut(Fault):
    """An object ends early."""

    name: ObjectName
    size: int

    def octets(self, name: ObjectName, data: bytes) -> bytes:
        return data[: self.size] if name == self.name else data

    def listing(self, prefix: str, found: list[ObjectInfo]) -> list[ObjectInfo]:
        return [ObjectInfo(i.name, min(i.size, self.size), i.modified) if i.name == self.name else i for i in found]


@dataclass
class ShortListing(Fault):
    """Listings leave out what comes after the first `shown` objects of a prefix, and say nothing."""

    prefix: str
    shown: int

    def listing(self, prefix: str, found: list[ObjectInfo]) -> list[ObjectInfo]:
        inside = [info.name for info in found if info.name.startswith(self.prefix)]
        hidden = set(inside[self.shown :])
        return [info for info in found if info.name not in hidden]


class ReadOnly(Fault):
    """Nothing may be written or deleted."""

    def before(self, call: str, name: str) -> None:
        if call in ("put", "delete"):
            raise StoreError(f"can't {call} {name}: permission denied", hint="check the rights")


@dataclass
class FullDisk(Fault):
    """There is room for so many more objects."""

    puts: int = 0

    def before(self, call: str, name: str) -> None:
        if call == "put":
            self.puts -= 1
            if self.puts < 0:
                raise StoreError(f"can't write {name}: no space left on device", hint="make room")


@dataclass
class Watched(Fault):
    """Nothing goes wrong, but each call is written down."""

    calls: list[tuple[str, str]] = field(default_factory=list)

    def before(self, call: str, name: str) -> None:
        self.calls.append((call, name))


class FaultyStore:
    """A store around a store, in which these things go wrong."""

    def __init__(self, store: FullStore, *faults: Fault) -> None:
        self._store = store
        self._faults = faults
        self.url = store.url

    def put(self, name: ObjectName, data: bytes, *, retain_until: datetime | None = None) -> None:
        self._before("put", name)
        self._store.put(name, data, retain_until=retain_until)
        self._after("put", name)

    def get(self, name: ObjectName, *, start: int = 0, length: int | None = None) -> bytes:
        self._before("get", name)
        data = self._octets(name)
        self._after("get", name)
        return MemoryStore({name: data}).get(name, start=start, length=length)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self._before("list", prefix)
        found = list(self._store.list(prefix))
        for fault in self._faults:
            found = fault.listing(prefix, found)
        yield from found
        self._after("list", prefix)

    def stat(self, name: ObjectName) -> ObjectInfo:
        self._before("stat", name)
        info = self._store.stat(name)
        self._after("stat", name)
        return ObjectInfo(name, len(self._octets(name)), info.modified)

    def delete(self, name: ObjectName) -> None:
        self._before("delete", name)
        self._store.delete(name)
        self._after("delete", name)

    def _octets(self, name: ObjectName) -> bytes:
        data = self._store.get(name)
        for fault in self._faults:
            data = fault.octets(name, data)
        return data

    def _before(self, call: str, name: str) -> None:
        for fault in self._faults:
            fault.before(call, name)

    def _after(self, call: str, name: str) -> None:
        for fault in self._faults:
            fault.after(call, name)


def flip(data: bytes, at: int) -> bytes:
    """Return data with one bit of the octet at `at` (from the end where negative) the other way round."""
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)
