"""Object Lock against a server that has it: what is proven, what is refused, what is extended, what is seen through."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus import octets, plain_mail
from tests.faults import MemoryStore
from tests.secret import new_secret
from tests.servers import MiniStack, RcloneS3
from tests.vault.archive import SMALL, draft_of
from vault.check import check_vault
from vault.clock import SystemClock
from vault.errors import ObjectMissing, StoreError
from vault.ids import ObjectName
from vault.keyring import init_vault
from vault.locks import NotLocked, due, extend_locks, extended_until, prove_lock
from vault.slots import Passphrase
from vault.stores import open_locked_store, open_store
from vault.stores.base import ObjectInfo
from vault.stores.locked import LockedStore, ObjectLock
from vault.vault import open_vault
from vault.writer import VaultWriter

A, B = ObjectName("packs/ab/abcd"), ObjectName("packs/ab/abcd0")
DAY = timedelta(days=1)
MONTH = ObjectLock("GOVERNANCE", 30 * DAY)


class Later:
    """The system's clock, so much ahead."""

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Bucket:
    """A bucket, with the store over it and the client of an attacker."""

    def __init__(self, server: MiniStack) -> None:
        self.name = f"b{secrets.token_hex(6)}"
        self.url = server.new_bucket(self.name) + "&patience=5"
        self.store = open_locked_store(self.url, MONTH, Later())
        self.attacker = server.client()

    def overwrite(self, name: str, data: bytes) -> None:
        self.attacker.put_object(Bucket=self.name, Key=f"mail/{name}", Body=data)

    def hide(self, name: str) -> None:
        self.attacker.delete_object(Bucket=self.name, Key=f"mail/{name}")

    def held(self, name: str) -> list[dict[str, Any]]:
        found = self.attacker.list_object_versions(Bucket=self.name, Prefix=f"mail/{name}")
        return [*found.get("Versions", []), *found.get("DeleteMarkers", [])]


@pytest.fixture
def bucket(locking: MiniStack) -> Bucket:
    return Bucket(locking)


@pytest.fixture(params=["COMPLIANCE", "GOVERNANCE"])
def either(request: pytest.FixtureRequest, bucket: Bucket) -> LockedStore:
    return open_locked_store(bucket.url, ObjectLock(request.param, 30 * DAY), Later())


def test_everything_that_is_put_is_locked_for_the_time_told(either: LockedStore) -> None:
    either.put(A, b"x")
    until = either.locked_until(A)
    assert until is not None
    assert abs(until - datetime.now(UTC) - 30 * DAY) < timedelta(minutes=5)


def test_an_early_deletion_is_refused_and_the_object_stays(either: LockedStore) -> None:
    either.put(A, b"x")
    with pytest.raises(StoreError):
        either.delete(A)
    assert either.get(A) == b"x"


def test_what_is_no_longer_locked_is_deleted_for_good(bucket: Bucket) -> None:
    plain = open_store(f"{bucket.url}&lock=governance")
    plain.put(A, b"x")
    bucket.overwrite(A, b"y")
    bucket.hide(A)
    bucket.overwrite(B, b"a name that begins the same")
    plain.delete(A)
    plain.delete(A)
    assert [version["Key"] for version in bucket.held(A)] == [f"mail/{B}"]
    with pytest.raises(ObjectMissing):
        plain.get(A)


def test_an_overwritten_or_hidden_object_reads_as_it_was_written(bucket: Bucket) -> None:
    for name in (A, B):
        bucket.store.put(name, octets(10_000))
    for _ in range(3):
        bucket.overwrite(A, b"nothing but this")
    for name in (A, B):
        bucket.hide(name)
    fresh = open_locked_store(bucket.url, MONTH, Later())
    assert [(info.name, info.size) for info in fresh.list()] == [(A, 10_000), (B, 10_000)]
    again = open_locked_store(bucket.url, MONTH, Later())
    for name in (A, B):
        assert again.get(name) == octets(10_000)
        assert again.get(name, start=5_000, length=100) == octets(10_000)[5_000:5_100]
        assert again.stat(name).size == 10_000


def test_more_versions_than_a_page_holds_hide_nothing(bucket: Bucket) -> None:
    bucket.store.put(A, b"the first")
    bucket.store.put(B, b"another")
    for n in range(1_010):
        bucket.overwrite(A, str(n).encode())
    assert bucket.store.get(A) == b"the first"
    assert [(info.name, info.size) for info in bucket.store.list("packs/")] == [(A, 9), (B, 7)]


# Proving.


def test_a_lock_is_proven_and_old_probes_go(bucket: Bucket) -> None:
    assert prove_lock(bucket.store, SystemClock())
    assert prove_lock(bucket.store, SystemClock())
    assert len(list(bucket.store.list("probes/"))) == 2  # still locked, both of them
    plain = open_store(f"{bucket.url}&lock=governance")
    plain.put(ObjectName("probes/old"), b"")
    assert prove_lock(bucket.store, SystemClock())
    assert ObjectName("probes/old") not in {info.name for info in bucket.store.list("probes/")}


def test_a_bucket_without_object_lock_is_told(locking: MiniStack) -> None:
    name = f"b{secrets.token_hex(6)}"
    store = open_locked_store(locking.new_bucket(name, lock=False), MONTH, Later())
    with pytest.raises(NotLocked) as caught:
        prove_lock(store, SystemClock())
    assert "bucket with Object Lock" in caught.value.hint


def test_a_store_that_ignores_locks_is_never_called_locked(s3: RcloneS3) -> None:
    store = open_locked_store(f"{s3.vault_url(f'b{secrets.token_hex(6)}')}&patience=2", MONTH, Later())
    with pytest.raises(StoreError):
        prove_lock(store, SystemClock())


class Forgetful(MemoryStore):
    """Takes objects with a lock, and keeps none: a fake, for no server here does that."""

    refuses = False

    def delete(self, name: ObjectName) -> None:
        if self.refuses:
            raise StoreError(f"can't delete {name}: no right to")
        super().delete(name)

    def locked_until(self, name: ObjectName) -> datetime | None:
        self.stat(name)
        return None

    def extend(self, name: ObjectName, retain_until: datetime) -> None:
        """Take it, and forget it."""


def test_a_probe_that_can_be_deleted_or_whose_lock_nobody_tells_of_proves_nothing() -> None:
    forgetful = Forgetful()
    store = LockedStore(forgetful, MONTH, Later())
    with pytest.raises(NotLocked, match="let a locked object be deleted"):
        prove_lock(store, SystemClock())
    forgetful.refuses = True
    assert not prove_lock(store, SystemClock())


def test_a_directory_with_a_lock_is_refused() -> None:
    with pytest.raises(StoreError, match="can't keep objects from deletion"):
        open_locked_store("file:///srv/vault", MONTH, Later())


# Extending.


@given(
    ages=st.lists(st.integers(0, 400), max_size=8),
    left=st.lists(st.integers(-400, 60), min_size=8, max_size=8),
    days=st.integers(1, 60),
)
def test_after_an_extension_everything_needed_is_locked_for_half_the_time(
    ages: list[int], left: list[int], days: int
) -> None:
    now, retention = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=days)
    listed = [ObjectInfo(ObjectName(f"packs/{n}"), 1, now - age * DAY) for n, age in enumerate(ages)]
    spared = {ObjectName("packs/0")}
    names = due(listed, spared, now, retention)
    assert spared.isdisjoint(names)
    for n, info in enumerate(listed):
        lock = max(info.modified + retention, now + left[n] * DAY)  # as written, or extended since
        new = extended_until(lock, now, retention) if info.name in names else None
        assert new is None or new > lock
        if info.name not in spared:
            assert (new or lock) - now >= retention / 2
            assert extended_until(new or lock, now, retention) is None or new is None


def test_an_extension_locks_what_is_needed_and_leaves_what_may_go(bucket: Bucket) -> None:
    gone, probe = ObjectName("packs/gone"), ObjectName("probes/one")
    for name in (A, B, gone, probe):
        bucket.store.put(name, b"x")
    bucket.hide(A)
    bucket.overwrite(B, b"y")
    before = {name: bucket.store.locked_until(name) for name in (A, B, gone, probe)}
    assert extend_locks(bucket.store, {gone}, Later(10 * DAY)).looked == 0
    report = extend_locks(bucket.store, {gone}, Later(20 * DAY))
    assert (report.looked, report.extended, report.refused) == (2, 2, ())
    after = {name: bucket.store.locked_until(name) for name in before}
    assert {name for name in before if after[name] != before[name]} == {A, B}
    until = after[A]
    assert until is not None
    assert until - datetime.now(UTC) > 49 * DAY
    assert extend_locks(bucket.store, {gone}, Later(21 * DAY)).extended == 0


def test_a_refused_extension_is_named_and_stops_no_other(bucket: Bucket) -> None:
    strict = open_locked_store(bucket.url, ObjectLock("COMPLIANCE", 300 * DAY), Later())
    strict.put(A, b"x")
    bucket.store.put(B, b"x")
    weaker = open_locked_store(bucket.url, ObjectLock("GOVERNANCE", 30 * DAY), Later())
    report = extend_locks(weaker, (), Later(290 * DAY))
    assert report.refused == (A,)
    until = weaker.locked_until(B)
    assert until is not None
    assert until > datetime.now(UTC) + 300 * DAY


# A whole vault.


def test_a_vault_whose_every_object_was_overwritten_and_hidden_is_read_whole(bucket: Bucket) -> None:
    passphrase = new_secret()
    init_vault(bucket.store, passphrase)
    vault = open_vault(bucket.store, Passphrase(passphrase))
    writer = VaultWriter(vault, bucket.store, clock=SystemClock(), limits=SMALL)
    draft = draft_of(vault, writer, "anna", {1: plain_mail(1), 2: plain_mail(2)}, "complete")
    writer.flush()
    writer.write_snapshot(draft)
    writer.close()
    vault.close()
    names = [info.name for info in bucket.store.list()]
    assert len(names) >= 6
    for name in names:
        with pytest.raises(StoreError):
            bucket.store.delete(name)
        bucket.overwrite(name, b"ransom")
        bucket.hide(name)
    again = open_vault(open_locked_store(bucket.url, MONTH, Later()), Passphrase(passphrase))
    report = check_vault(again, read=True)
    assert not report.damage
    assert [s.messages for s in again.snapshots("anna")] == [2]
    again.close()
