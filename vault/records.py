"""Small objects: snapshots and run records, sealed one by one (docs/vault-format.md §7)."""

from __future__ import annotations

import hashlib
import os
import time
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from vault.decoding import decode
from vault.errors import Damage
from vault.ids import AccountId, ObjectName, SnapshotId
from vault.keys import KeyRing
from vault.model import Snapshot
from vault.seal import Kind, open_object, seal_object
from vault.stores.base import WriteStore


class Confirmed(msgspec.Struct, frozen=True, array_like=True):
    """One account in a run record: the snapshot that stands after the run (or None), how the look went.

    `downloaded` is how many octets came over the wire.
    """

    account: AccountId
    snapshot: SnapshotId | None
    status: str
    downloaded: int = 0


class DrillResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a drill found: how much was restored in how many seconds, and what the whole vault would take (`rto`)."""

    accounts: int
    messages: int
    octets: int
    seconds: float
    rto: float | None = None
    altered: int = 0
    failures: int = 0


class CheckResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a check proved: the share of the packs that it read (0 for the structure alone), the damaged objects."""

    share: float = 0.0
    damaged: int = 0


class ToldTrouble(msgspec.Struct, frozen=True, array_like=True):
    """A state that somebody was told of: what is in it, which one it is, and since when (RFC 3339)."""

    topic: str
    subject: str
    what: str
    since: str


class RunRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one job looked at; the one object that a job with nothing new writes. Times are RFC 3339 in UTC.

    `job` is its name in the configuration, `kind` what it did (`backup`, `check` …), `status` how it ended; empty
    where a run had no name, and in records of before there were schedules. `error` and `hint` say what made it fail,
    `reasons` what ended the run of single accounts.
    A record of the kind `notify` says what stands as `told`, by channel. `written` orders the records of one second:
    nanoseconds since 1970 by the writer's clock.
    """

    started: str
    finished: str
    accounts: tuple[Confirmed, ...]
    tool: str = ""
    job: str = ""
    kind: str = ""
    status: str = ""
    drill: DrillResult | None = None
    check: CheckResult | None = None
    error: str = ""
    hint: str = ""
    reasons: dict[AccountId, str] = msgspec.field(default_factory=dict)
    told: dict[str, tuple[ToldTrouble, ...]] | None = None
    written: int = 0


RecordT = TypeVar("RecordT", Snapshot, RunRecord)


def stamp(moment: datetime) -> str:
    """Return the name of a moment as object names carry it, e.g. `20261123T105144Z`."""
    return moment.strftime("%Y%m%dT%H%M%SZ")


def stamp_of(name: str) -> datetime:
    """Return the moment that the name of a snapshot or record begins with."""
    return datetime.strptime(name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def is_stamped(name: str) -> bool:
    """Whether the name of a snapshot or record begins with a moment that there is."""
    try:
        stamp_of(name)
    except ValueError:
        return False
    return True


def rfc3339(moment: datetime) -> str:
    """Return a moment as reports and records carry it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def new_name(moment: datetime) -> str:
    """Return `<time>-<rand>`, in order of time and unique."""
    return f"{stamp(moment)}-{os.urandom(4).hex()}"


def snapshot_name(account: AccountId, snapshot: SnapshotId) -> ObjectName:
    """Return the name of a snapshot's object."""
    return ObjectName(f"snapshots/{account}/{snapshot}")


def seal_record(ring: KeyRing, kind: Kind, name: ObjectName, record: Snapshot | RunRecord) -> bytes:
    """Return the octets of a snapshot or run record."""
    return seal_object(ring.meta_key, ring.vault_id, kind, name, msgspec.json.encode(record))


def open_snapshot(ring: KeyRing, name: ObjectName, data: bytes) -> Snapshot:
    """Return the snapshot in an object; raises Damage."""
    snapshot = _decode(open_object(ring.meta_key, ring.vault_id, "S", name, data), Snapshot, name)
    _insist_on_moments(name, snapshot.time)
    if name != snapshot_name(snapshot.account_id, snapshot.id):
        raise Damage(f"{name} lies under another snapshot's name", object_name=name)
    return snapshot


def open_run(ring: KeyRing, name: ObjectName, data: bytes) -> RunRecord:
    """Return the run record in an object; raises Damage."""
    record = _decode(open_object(ring.meta_key, ring.vault_id, "R", name, data), RunRecord, name)
    _insist_on_moments(name, record.started, record.finished)
    return record


def write_run(store: WriteStore, ring: KeyRing, record: RunRecord) -> None:
    """Write the record of a run. Raises StoreError."""
    name = ObjectName(f"runs/{new_name(datetime.fromisoformat(record.finished))}")
    record = msgspec.structs.replace(record, written=time.time_ns())
    store.put(name, seal_record(ring, "R", name, record))


def chain_link(data: bytes) -> str:
    """Return what the next snapshot of the account says of this one: the SHA-256 of its object."""
    return hashlib.sha256(data).hexdigest()


def _decode(body: bytes, kind: type[RecordT], name: str) -> RecordT:
    try:
        return decode(body, kind)
    except msgspec.DecodeError:
        raise Damage(f"{name} can't be read", object_name=name) from None


def _insist_on_moments(name: str, *times: str) -> None:
    try:
        told = all(datetime.fromisoformat(time).tzinfo for time in times)
    except ValueError:
        told = False
    if not told:
        raise Damage(f"{name} tells no moment", object_name=name)
