"""A vault on a store that dies, falls silent, lists short or takes nothing: never hollow, never called damaged."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from tests.faults import (
    Dying,
    Fault,
    FaultyStore,
    FullDisk,
    Killed,
    MemoryStore,
    ReadOnly,
    ShortListing,
    Unavailable,
    Watched,
)
from tests.secret import keep_secret, new_secret
from tests.vault.test_copies import MAIL, fill
from vault.check import check_vault
from vault.clock import SystemClock
from vault.errors import StoreError, StoreUnavailable, Trouble
from vault.ids import BlobId, ObjectName
from vault.keyring import add_passphrase, export_key, init_vault, rotate
from vault.rebuild import rebuild_index
from vault.slots import KeyFile, Passphrase
from vault.vault import Vault, open_vault
from vault.writer import VaultWriter


@cache
def template() -> tuple[dict[ObjectName, bytes], Passphrase, KeyFile]:
    store, secret = MemoryStore(), Passphrase(new_secret())
    keep_secret(init_vault(store, secret.text))
    return store.objects, secret, KeyFile(export_key(store, secret, backup_only=False))


class Small:
    """A vault in memory with one mail and two snapshots of it; opened with a key file, which takes no time."""

    def __init__(self) -> None:
        objects, self.passphrase, self.secret = template()
        self.store = MemoryStore(objects)
        self.blob = self.backup()
        self.backup()
        self.write_run()

    def open(self, *faults: Fault) -> Vault:
        return open_vault(FaultyStore(self.store, *faults), self.secret)

    def backup(self, *faults: Fault) -> BlobId:
        store = FaultyStore(self.store, *faults)
        writer = VaultWriter(open_vault(self.store, self.secret), store, clock=SystemClock())
        try:
            return fill(writer)
        finally:
            writer.close()

    def write_run(self) -> None:
        vault = self.open()
        writer = VaultWriter(vault, self.store, clock=SystemClock())
        snapshot = vault.snapshots("anna")[-1]
        writer.write_run(SystemClock().now(), [("anna", snapshot.id, "complete")])
        writer.close()

    def lose_index(self) -> None:
        for info in list(self.store.list("index/")):
            self.store.delete(info.name)

    def sound(self) -> bool:
        """Say whether all is there, to the last byte."""
        vault = self.open()
        return not check_vault(vault, read=True).damage and vault.read_message(self.blob) == MAIL


@pytest.fixture
def small() -> Small:
    return Small()


def calls_of(work: Callable[[Watched], object]) -> int:
    watched = Watched()
    work(watched)
    return len(watched.calls)


# Check.


def test_a_store_that_falls_silent_under_a_check_is_an_error_and_no_damage(small: Small) -> None:
    calls = calls_of(lambda watched: check_vault(small.open(watched), read=True))
    assert calls > 10
    for n in range(calls):
        with pytest.raises(StoreUnavailable):
            check_vault(small.open(Unavailable(after_calls=n)), read=True)


@pytest.mark.parametrize("read", [False, True], ids=["structure", "every byte"])
@pytest.mark.parametrize("prefix", ["packs/", "meta/", "index/", "snapshots/", "keys/", "vault"])
def test_a_listing_that_comes_short_never_passes_for_a_sound_vault(small: Small, prefix: str, *, read: bool) -> None:
    report = check_vault(small.open(ShortListing(prefix, 0)), read=read)
    assert report.damage


@pytest.mark.parametrize("which", [0, 1], ids=["oldest", "newest"])
def test_a_snapshot_held_back_is_missed(small: Small, which: int) -> None:
    lost = small.open().snapshots("anna")[which].id
    small.store.objects = {name: data for name, data in small.store.objects.items() if not name.endswith(lost)}
    (found,) = check_vault(small.open(), read=False).damage
    assert found.object.startswith("snapshots/")
    assert [affected.account for affected in found.affects] == ["anna"]


def test_looking_at_a_vault_writes_nothing(small: Small) -> None:
    watched = Watched()
    vault = small.open(ReadOnly(), watched)
    assert vault.read_message(small.blob) == MAIL
    assert not check_vault(vault, read=True).damage
    assert {call for call, _ in watched.calls} <= {"get", "list", "stat"}


# Rebuilding the index.


@pytest.mark.parametrize("late", [False, True], ids=["before its effect", "after its effect"])
def test_a_rebuild_killed_at_any_call_is_completed_by_the_next(*, late: bool) -> None:
    for call in ("get", "list", "put"):
        for n in range(1, 100):
            small = Small()
            small.lose_index()
            try:
                rebuild_index(FaultyStore(small.store, Dying(call, n, late=late)), small.secret, SystemClock())
            except Killed:
                rebuild_index(small.store, small.secret, SystemClock())
                assert small.sound()
            else:
                break


def test_a_rebuild_on_a_store_that_falls_silent_claims_nothing(small: Small) -> None:
    small.lose_index()
    # Call by call, until one rebuild gets through: no pack that could not be read may be left out quietly.
    for n in range(100):
        store = FaultyStore(small.store, Unavailable(after_calls=n, times=1))
        try:
            rebuild_index(store, small.secret, SystemClock())
        except StoreUnavailable:
            continue
        assert n > 5
        assert small.sound()
        return


def test_a_rebuild_without_room_is_told_and_can_be_repeated(small: Small) -> None:
    small.lose_index()
    with pytest.raises(StoreError, match="no space"):
        rebuild_index(FaultyStore(small.store, FullDisk()), small.secret, SystemClock())
    assert rebuild_index(small.store, small.secret, SystemClock()) > 0
    assert small.sound()


# Writing.


def test_a_writer_without_room_leaves_a_sound_vault(small: Small) -> None:
    before = len(small.open().snapshots("anna"))
    with pytest.raises(StoreError, match="no space"):
        small.backup(FullDisk())
    assert small.sound()
    assert len(small.open().snapshots("anna")) == before
    small.backup()
    assert len(small.open().snapshots("anna")) == before + 1


# Keys.


@pytest.mark.parametrize("late", [False, True], ids=["before its effect", "after its effect"])
def test_a_vault_whose_making_was_killed_is_no_trap(*, late: bool) -> None:
    for n in range(1, 10):
        store, secret = MemoryStore(), Passphrase(new_secret())
        try:
            init_vault(FaultyStore(store, Dying("put", n, late=late)), secret.text)
        except Killed:
            # Either the place is as it was, or making a vault there again says that it is taken, with what to do.
            if store.objects:
                with pytest.raises(Trouble) as caught:
                    init_vault(store, secret.text)
                assert caught.value.hint
            else:
                init_vault(store, secret.text)
        else:
            assert n > 3
            return


@pytest.mark.parametrize("late", [False, True], ids=["before its effect", "after its effect"])
def test_a_rotation_killed_at_any_put_keeps_all_mail_readable_and_can_be_repeated(*, late: bool) -> None:
    for n in range(1, 10):
        small = Small()
        try:
            rotate(FaultyStore(small.store, Dying("put", n, late=late)), small.passphrase, new_secret())
        except Killed:
            assert open_vault(small.store, small.passphrase).read_message(small.blob) == MAIL
            small.backup()
            assert small.sound()
            again = new_secret()
            keep_secret(rotate(small.store, small.passphrase, again))
            assert open_vault(small.store, Passphrase(again)).read_message(small.blob) == MAIL
        else:
            assert n > 3
            return


def test_a_slot_that_could_not_be_written_changes_nothing(small: Small) -> None:
    with pytest.raises(StoreError):
        add_passphrase(FaultyStore(small.store, ReadOnly()), small.secret, new_secret(), "second")
    assert small.sound()
    add_passphrase(small.store, small.secret, new_secret(), "second")
    assert small.sound()
