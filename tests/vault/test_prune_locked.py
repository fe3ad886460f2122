"""Months of backups, prunes and extended locks, simulated: what an attacker may delete is nothing that is still needed.

The store in memory refuses as S3 does (Object Lock, retention periods); real servers are asked in test_locks.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from backup.retention import Policy
from tests.corpus import plain_mail
from tests.faults import Killed, MemoryStore
from tests.vault.archive import Archive, FakeClock
from vault.clock import Clock
from vault.errors import StoreError
from vault.ids import ObjectName
from vault.locks import PASSING, extend_locks
from vault.prune import PruneReport
from vault.stores.locked import LockedStore, ObjectLock
from vault.tombstones import read_graveyard
from vault.vault import open_vault

MONTH = timedelta(days=30)


class LockingStore(MemoryStore):
    """Refuses to delete what is locked, and to shorten a lock; may die at an extension."""

    def __init__(self, *, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.time = clock
        self.until: dict[ObjectName, datetime] = {}
        self.dies_after = -1

    def put(self, name: ObjectName, data: bytes, *, retain_until: datetime | None = None) -> None:
        assert retain_until is not None, f"{name} is written without a lock"
        super().put(name, data)
        self.until[name] = retain_until

    def delete(self, name: ObjectName) -> None:
        if name in self.objects and self.locked(name):
            raise StoreError(f"can't delete {name}: the store refuses (AccessDenied)")
        super().delete(name)

    def locked(self, name: ObjectName) -> bool:
        return self.time.now() < self.until[name]

    def locked_until(self, name: ObjectName) -> datetime | None:
        self.stat(name)
        return self.until[name]

    def extend(self, name: ObjectName, retain_until: datetime) -> None:
        if self.dies_after == 0:
            raise Killed
        self.dies_after -= 1
        assert retain_until >= self.until[name], f"the lock of {name} would be shorter"
        self.until[name] = retain_until


@dataclass
class Years:
    """A vault in a store that locks, backed up daily."""

    archive: Archive = field(default_factory=Archive)
    day: int = 0

    def __post_init__(self) -> None:
        self.bucket = LockingStore(clock=self.archive.clock)
        self.store = LockedStore(self.bucket, ObjectLock("COMPLIANCE", MONTH), self.archive.clock)
        for name, data in self.archive.store.objects.items():
            self.store.put(name, data)
        self.archive.store = self.bucket

    @property
    def clock(self) -> FakeClock:
        return self.archive.clock

    def backup(self) -> None:
        mails = {n: plain_mail(n) for n in (1, 2, 3)} | {100 + self.day: plain_mail(100 + self.day)}
        self.archive.backup(mails, store=self.store)
        self.day += 1

    def prune(self) -> PruneReport:
        report = self.archive.prune(Policy(last=3), store=self.store)
        vault = open_vault(self.store, self.archive.backup_key)
        extend_locks(self.store, read_graveyard(self.store, vault.ring).condemned, self.clock)
        return report

    def attacked(self) -> Archive:
        """Return what is left when somebody deletes all that the store lets go."""
        left = {n: data for n, data in self.bucket.objects.items() if self.bucket.locked(n)}
        other = Archive(clock=self.clock, truth=self.archive.truth)
        other.backup_key, other.full_key = self.archive.backup_key, self.archive.full_key
        other.store = MemoryStore(left, clock=self.clock)
        return other


def test_for_months_an_attacker_with_all_rights_takes_no_kept_snapshot() -> None:
    years = Years()
    for day in range(100):
        years.backup()
        years.clock.pass_(hours=12)
        report = years.prune()
        kept = {s.id for s in report.snapshots if s.keep}
        if day % 10 == 9:
            left = years.attacked()
            assert kept <= {s.id for s in left.snapshots()}
            left.assert_sound()
        years.clock.pass_(hours=12)
    assert len(years.archive.snapshots()) < 40


def test_a_prune_waits_for_locks_to_end_and_deletes_then() -> None:
    years = Years()
    for _ in range(5):
        years.backup()
        years.clock.pass_(days=1)
    years.prune()
    years.clock.pass_(days=4)
    assert years.prune().waiting > 0
    assert len(years.archive.snapshots()) == 5
    years.archive.assert_sound()
    for _ in range(45):
        years.clock.pass_(days=1)
        years.prune()
    assert len(years.archive.snapshots()) == 3
    years.archive.assert_sound()
    years.attacked().assert_sound()


@pytest.mark.parametrize("n", range(0, 12, 3))
def test_an_extension_that_dies_anywhere_is_made_good_by_the_next(n: int) -> None:
    years = Years()
    for _ in range(3):
        years.backup()
        years.clock.pass_(days=1)
    years.clock.pass_(days=20)
    years.bucket.dies_after = n
    with pytest.raises(Killed):
        extend_locks(years.store, (), years.clock)
    years.bucket.dies_after = -1
    extend_locks(years.store, (), years.clock)
    half = years.clock.now() + MONTH / 2
    short = [name for name in years.bucket.objects if years.bucket.until[name] < half]
    assert [name for name in short if not name.startswith(PASSING)] == []
    years.attacked().assert_sound()
