"""Object Lock: proving that the store keeps it, and extending it for what is still needed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from vault.clock import Clock
from vault.errors import ObjectMissing, StoreError, StoreUnavailable, VaultError
from vault.ids import ObjectName
from vault.records import new_name
from vault.stores.base import FullStore, ObjectInfo
from vault.stores.locked import LockedStore

PROBE_HOLDS = timedelta(hours=1)
"""How long a probe is locked: longer than clocks differ, so that it is still locked when we try to delete it."""

PASSING = ("probes/", "tombstones/")
"""Objects that nothing needs for long; a prune writes its census anew."""

AT_ONCE = 8


class NotLocked(VaultError):
    """The store does not keep from deletion what it was told to keep."""


def prove_lock(store: LockedStore, clock: Clock) -> bool:
    """Write a probe and try to delete it; say whether its lock is proven.

    False where the deletion was refused but the store tells of no lock: it may be for lack of rights alone.
    Raises NotLocked, StoreError.
    """
    clear_probes(store)
    now = clock.now()
    name = ObjectName(f"probes/{new_name(now)}")
    _put_probe(store, name, now + PROBE_HOLDS)
    until = store.locked_until(name)
    if _try_delete(store, name):
        hint = "make a bucket with Object Lock (a new one, on most stores), or take object_lock out"
        raise NotLocked(f"{store.url} let a locked object be deleted: nothing there is safe from deletion", hint=hint)
    return until is not None and until > now


def clear_probes(store: FullStore) -> None:
    """Remove probes that are no longer locked. Raises StoreUnavailable."""
    for old in list(store.list("probes/")):
        _try_delete(store, old.name)


def _put_probe(store: LockedStore, name: ObjectName, until: datetime) -> None:
    try:
        store.put(name, b"A probe of Object Lock. It may be deleted.\n", retain_until=until)
    except StoreUnavailable:
        raise
    except StoreError as error:
        hint = f"make a bucket with Object Lock, or take object_lock out of the configuration; else {error.hint}"
        raise NotLocked(f"no object can be locked in {store.url}: {error.message}", hint=hint) from None


def _try_delete(store: FullStore, name: ObjectName) -> bool:
    try:
        store.delete(name)
    except StoreUnavailable:
        raise
    except StoreError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Extended:
    """How many objects' locks were looked at and extended, and those whose store refused."""

    looked: int = 0
    extended: int = 0
    refused: tuple[ObjectName, ...] = ()


def due(
    listed: Iterable[ObjectInfo], spared: Collection[ObjectName], now: datetime, retention: timedelta
) -> list[ObjectName]:
    """Return the objects whose lock may have less than half of its time left, but for those that may go.

    Whatever is younger than half the retention was locked for longer when it was written.
    """
    return [
        info.name
        for info in listed
        if info.name not in spared and not info.name.startswith(PASSING) and info.modified + retention / 2 <= now
    ]


def extended_until(until: datetime | None, now: datetime, retention: timedelta) -> datetime | None:
    """Return the new end of a lock, or None where the one it has is long enough."""
    return now + retention if until is None or until - now <= retention / 2 else None


def extend_locks(store: LockedStore, spared: Collection[ObjectName], clock: Clock) -> Extended:
    """Extend every lock with less than half its time left, but for `spared` objects, which may go. Raises StoreError.

    It may stop anywhere and be called again.
    """
    now, retention = clock.now(), store.lock.retention

    def look(name: ObjectName) -> tuple[bool, ObjectName | None]:
        with suppress(ObjectMissing):  # a prune was faster
            try:
                until = extended_until(store.locked_until(name), now, retention)
                if until is not None:
                    store.extend(name, until)
                return until is not None, None
            except StoreUnavailable:
                raise
            except ObjectMissing:
                raise
            except StoreError:
                return False, name
        return False, None

    names = due(store.list(), spared, now, retention)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        told = list(threads.map(look, names))
    return Extended(len(names), sum(done for done, _ in told), tuple(name for _, name in told if name))
