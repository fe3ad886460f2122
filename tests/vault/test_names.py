"""What names and ids tell, and that no object passes for another."""

from __future__ import annotations

import hashlib
import os
import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.corpus import octets, plain_mail
from tests.faults import FaultyStore, MemoryStore, Watched
from tests.secret import new_secret
from vault import slots
from vault.clock import SystemClock
from vault.errors import Damage
from vault.ids import AccountId, ObjectName
from vault.keyring import init_vault
from vault.keys import KeyRing, new_content_key
from vault.packer import PackLimits
from vault.records import new_name, open_run, open_snapshot
from vault.slots import Passphrase
from vault.stores.names import check_name
from vault.vault import Vault, open_vault
from vault.waiting import Stretch
from vault.writer import SnapshotDraft, VaultWriter

ACCOUNT = "anna.unmistakable@example.test"
TINY = PackLimits(pack=3_000, block=1_000, alone=800, message_alone=800)
FORM = re.compile(
    r"vault\.json|keys/[a-z0-9-]+\.json|packs/(?P<first>[0-9a-f]{2})/(?P=first)[0-9a-f]{62}|meta/[0-9a-f]{64}"
    r"|(index|runs|snapshots/[0-9a-f]{32})/[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}"
)


@pytest.fixture(autouse=True)
def _light_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "MEMORY_KIB", 64)


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def filled(watched: Watched) -> tuple[MemoryStore, Vault]:
    """Return a vault in which two accounts were backed up twice each, in several packs."""
    store, passphrase = MemoryStore(), new_secret()
    init_vault(store, passphrase)
    vault = open_vault(store, Passphrase(passphrase))
    for job in range(2):
        writer = VaultWriter(vault, FaultyStore(store, watched), clock=SystemClock(), limits=TINY)
        for number in range(10):
            writer.add_message(plain_mail(number, body=octets(500, 10 * job + number)), Stretch())
        tree = writer.add_meta(b'{"mailboxes":[]} %d' % job)
        writer.flush()
        made = [
            (name, writer.write_snapshot(SnapshotDraft(name, "complete", tree, 0, 0, 0)).id, "complete")
            for name in (ACCOUNT, "bo")
        ]
        writer.write_run(datetime.now(UTC), made)
        writer.close()
    return store, vault


def ring() -> KeyRing:
    return KeyRing(os.urandom(16), os.urandom(32), new_content_key().public())


def test_a_name_tells_kind_and_time_and_nothing_else(filled: tuple[MemoryStore, Vault]) -> None:
    store, _ = filled
    assert [name for name in store.objects if not FORM.fullmatch(name)] == []
    assert all(check_name(name) for name in store.objects)


def test_no_object_holds_the_name_of_an_account_in_the_clear(filled: tuple[MemoryStore, Vault]) -> None:
    store, _ = filled
    words = (ACCOUNT.encode(), b"unmistakable", b"INBOX", b"Message-ID")
    assert not [name for name, data in store.objects.items() if any(word in data for word in words)]


def test_packs_and_meta_objects_are_named_after_their_octets(filled: tuple[MemoryStore, Vault]) -> None:
    store, _ = filled
    named = {name: data for name, data in store.objects.items() if name.startswith(("packs/", "meta/"))}
    assert len(named) > 4
    assert all(name.endswith(hashlib.sha256(data).hexdigest()) for name, data in named.items())


def test_ids_differ_from_vault_to_vault() -> None:
    one, other = ring(), ring()
    assert one.account_id(ACCOUNT) != other.account_id(ACCOUNT)
    assert one.blob_id(b"message", b"x") != other.blob_id(b"message", b"x")
    account = AccountId("0" * 32)
    assert one.server_id_hash(account, "EMAILID", b"M1") != other.server_id_hash(account, "EMAILID", b"M1")


def test_two_vaults_under_one_meta_key_would_still_differ() -> None:
    one = ring()
    other = KeyRing(os.urandom(16), one.meta_key, one.public)
    assert one.account_id(ACCOUNT) != other.account_id(ACCOUNT)
    assert one.blob_id(b"meta", b"x") != other.blob_id(b"meta", b"x")


def test_content_of_one_kind_never_passes_for_another() -> None:
    one = ring()
    assert len({one.blob_id(kind, b"x") for kind in (b"message", b"piece", b"meta")}) == 3


def test_a_servers_id_counts_for_its_kind_and_account_alone() -> None:
    one = ring()
    accounts = [one.account_id(name) for name in ("anna", "bo")]
    hashes = {one.server_id_hash(account, kind, b"1") for account in accounts for kind in ("EMAILID", "X-GUID")}
    assert len(hashes) == 4
    assert {len(found) for found in hashes} == {8}


def test_names_of_one_folder_are_in_order_of_time_and_never_equal() -> None:
    start = datetime(2026, 2, 28, 23, 59, 58, tzinfo=UTC)
    names = [new_name(start + timedelta(seconds=n)) for n in range(5)]
    assert names == sorted(names)
    assert len({new_name(start) for _ in range(50)}) == 50


def test_a_snapshot_does_not_pass_for_another(filled: tuple[MemoryStore, Vault]) -> None:
    store, vault = filled
    found = [name for name in store.objects if name.startswith("snapshots/")]
    assert len(found) == 4
    for name in found:
        assert open_snapshot(vault.ring, name, store.objects[name]).id == name.rpartition("/")[2]
        for other in set(found) - {name}:
            with pytest.raises(Damage):
                open_snapshot(vault.ring, name, store.objects[other])


def test_an_object_of_one_kind_does_not_open_as_another(filled: tuple[MemoryStore, Vault]) -> None:
    store, vault = filled
    run, index = (next(n for n in store.objects if n.startswith(kind)) for kind in ("runs/", "index/"))
    with pytest.raises(Damage):
        open_run(vault.ring, index, store.objects[index])
    with pytest.raises(Damage):
        open_snapshot(vault.ring, run, store.objects[run])
    with pytest.raises(Damage):
        open_run(vault.ring, ObjectName("runs/20260101T000000Z-00000000"), store.objects[run])


def test_everything_is_written_before_what_names_it(filled: tuple[MemoryStore, Vault], watched: Watched) -> None:
    order = ("packs", "meta", "index", "snapshots", "runs")
    written = [order.index(name.partition("/")[0]) for call, name in watched.calls if call == "put"]
    jobs = "".join(map(str, written)).split("4")
    assert [sorted(job) for job in jobs] == [list(job) for job in jobs]
    assert all({"0", "1", "2", "3"} == set(job) for job in jobs[:-1])
    assert jobs[-1] == ""


def test_no_object_is_written_twice(filled: tuple[MemoryStore, Vault], watched: Watched) -> None:
    names = [name for call, name in watched.calls if call == "put"]
    assert len(names) == len(set(names))
