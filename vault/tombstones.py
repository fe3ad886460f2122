"""Tombstones and holds: what maintenance has condemned, what it left standing, and what may never expire.

A tombstone (docs/vault-format.md §9) condemns objects. Condemnation is for good: nobody takes a condemned pack for a
place where mail is kept, and once the grace period is over, by the store's clock, it may go at any moment. The newest
tombstone with a census also says which snapshots stood when it was written, so that a snapshot that expired can be told
from one that was lost or held back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TypeVar

import msgspec

from vault.clock import Clock
from vault.decoding import decode
from vault.errors import Damage, ObjectMissing
from vault.ids import AccountId, ObjectName, SnapshotId
from vault.keys import KeyRing
from vault.records import new_name, rfc3339, snapshot_name
from vault.seal import MAGIC, Kind, open_object, seal_object
from vault.stores.base import ObjectInfo, ReadStore, WriteStore

GRACE = timedelta(hours=48)
"""How long a condemned object is left alone, and how young an object is never condemned; by the store's clock."""


class Standing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One account in a census: its snapshots up to a sequence number, but for those condemned.

    `suspended` is the snapshot in which over half of the messages were gone, while nobody has said that this is right.
    """

    sequence: int
    snapshots: tuple[SnapshotId, ...]
    suspended: SnapshotId | None = None


class Census(msgspec.Struct, frozen=True, kw_only=True):
    """What a prune left standing: every account's snapshots, the run records, the holds in force."""

    accounts: dict[AccountId, Standing]
    runs: tuple[ObjectName, ...]
    holds: dict[ObjectName, AccountId]

    @property
    def snapshots(self) -> set[ObjectName]:
        """The names of all snapshots that stood."""
        return {snapshot_name(a, one) for a, standing in self.accounts.items() for one in standing.snapshots}


class Tombstone(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a `T` object. `time` is RFC 3339 in UTC by the host's clock, for people; `objects` are condemned."""

    time: str
    objects: tuple[ObjectName, ...] = ()
    census: Census | None = None
    tool: str = ""


class Hold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an `H` object: a snapshot (or all of an account's, where None) is held, or older holds released."""

    account: str
    account_id: AccountId
    time: str
    snapshot: SnapshotId | None = None
    releases: tuple[ObjectName, ...] = ()
    tool: str = ""


RecordT = TypeVar("RecordT", Tombstone, Hold)


class Written(msgspec.Struct, frozen=True):
    """A tombstone in the store; `written` is by the store's clock."""

    name: ObjectName
    written: datetime
    body: Tombstone


@dataclass(frozen=True)
class Graveyard:
    """All tombstones, and the names of those that can't be read."""

    tombstones: tuple[Written, ...] = ()
    unreadable: tuple[Damage, ...] = ()
    names: frozenset[ObjectName] = frozenset()
    """All that lay there, be it a tombstone of ours or not."""

    @cached_property
    def condemned(self) -> dict[ObjectName, datetime]:
        """Every condemned object with the time of its oldest tombstone.

        A snapshot that the newest census names is pardoned: a hold or a wider policy came in time.
        """
        found: dict[ObjectName, datetime] = {}
        for stone in sorted(self.tombstones, key=lambda t: t.written, reverse=True):
            found.update(dict.fromkeys(stone.body.objects, stone.written))
        for name in self.census.snapshots if self.census else ():
            found.pop(name, None)
        return found

    @property
    def newest(self) -> Written | None:
        """The tombstone whose census counts, or None where nobody ever pruned."""
        counted = [t for t in self.tombstones if t.body.census is not None]
        return max(counted, key=lambda t: (t.written, t.name), default=None)

    @property
    def census(self) -> Census | None:
        """What the newest census says."""
        return self.newest.body.census if self.newest else None


def read_graveyard(store: ReadStore, ring: KeyRing) -> Graveyard:
    """Read all tombstones. Raises StoreError."""
    stones, unreadable = [], []
    listed = list(store.list("tombstones/"))
    for info, body in _bodies(store, ring, listed, "T", Tombstone):
        if isinstance(body, Damage):
            unreadable.append(body)
        else:
            stones.append(Written(info.name, info.modified, body))
    return Graveyard(tuple(stones), tuple(unreadable), frozenset(info.name for info in listed))


def write_tombstone(store: WriteStore, ring: KeyRing, clock: Clock, stone: Tombstone) -> Written:
    """Write a tombstone and ask the store when that was. Raises StoreError."""
    name = ObjectName(f"tombstones/{new_name(clock.now())}")
    store.put(name, seal_object(ring.meta_key, ring.vault_id, "T", name, msgspec.json.encode(stone)))
    return Written(name, store.stat(name).modified, stone)


class Holds(msgspec.Struct, frozen=True):
    """The holds in force, and the names of those that can't be read."""

    records: dict[ObjectName, Hold]
    unreadable: tuple[Damage, ...] = ()

    def covers(self, account: AccountId, snapshot: SnapshotId) -> bool:
        """Say whether a snapshot is held, by itself or with all of its account."""
        return any(h.account_id == account and h.snapshot in (None, snapshot) for h in self.records.values())

    def on(self, account: AccountId, snapshot: SnapshotId | None) -> list[ObjectName]:
        """Return the holds on one snapshot, or, where None, those on the whole account."""
        return [n for n, h in self.records.items() if (h.account_id, h.snapshot) == (account, snapshot)]


def read_holds(store: ReadStore, ring: KeyRing) -> Holds:
    """Read the holds in force: those that no release names, in whatever order they come. Raises StoreError."""
    found: dict[ObjectName, Hold] = {}
    unreadable = []
    for info, body in _bodies(store, ring, list(store.list("holds/")), "H", Hold):
        if isinstance(body, Damage):
            unreadable.append(body)
        else:
            found[info.name] = body
    released = {name for hold in found.values() for name in hold.releases}
    return Holds({n: h for n, h in found.items() if not h.releases and n not in released}, tuple(unreadable))


def write_hold(
    store: WriteStore,
    ring: KeyRing,
    clock: Clock,
    account: str,
    snapshot: SnapshotId | None,
    releases: Iterable[ObjectName] = (),
) -> ObjectName:
    """Hold a snapshot or an account, or release the holds named. Raises StoreError."""
    moment = clock.now()
    hold = Hold(
        account=account, account_id=ring.account_id(account), time=rfc3339(moment), snapshot=snapshot,
        releases=tuple(releases),
    )  # fmt: skip
    name = ObjectName(f"holds/{new_name(moment)}")
    store.put(name, seal_object(ring.meta_key, ring.vault_id, "H", name, msgspec.json.encode(hold)))
    return name


def _bodies(
    store: ReadStore, ring: KeyRing, listed: Iterable[ObjectInfo], kind: Kind, model: type[RecordT]
) -> Iterator[tuple[ObjectInfo, RecordT | Damage]]:
    for info in listed:
        try:
            data = store.get(info.name)
            if not data.startswith(MAGIC):
                continue  # not ours; were it one of ours gone bad, its census would be missed
            body = open_object(ring.meta_key, ring.vault_id, kind, info.name, data)
            yield info, decode(body, model)
        except ObjectMissing:
            continue  # another prune was done with it meanwhile
        except Damage as damage:
            yield info, damage
        except msgspec.DecodeError:
            yield info, Damage(f"{info.name} can't be read", object_name=info.name)
