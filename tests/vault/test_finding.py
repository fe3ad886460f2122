"""One message out of a vault far away: what the store is asked, and that nobody gets what is not theirs."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from backup.retention import Policy
from tests.corpus import plain_mail
from tests.faults import MemoryStore
from tests.secret import new_secret
from tests.vault.archive import Archive
from vault import meta
from vault.cache import Cache, open_database
from vault.errors import Damage, WrongSecret
from vault.finding import holds_message, messages_beginning
from vault.ids import BlobId, ObjectName
from vault.index import read_index_object
from vault.keyring import VAULT_FILE, export_key, init_vault
from vault.slots import KeyFile, Passphrase
from vault.stores.base import ObjectInfo
from vault.vault import Vault, open_to_look, open_vault

MANY = {n: plain_mail(n) for n in range(1, 3_001)}


class Asked(MemoryStore):
    """Another store's objects, and what was asked of it."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__()
        self.objects = store.objects
        self.asked: list[str] = []

    def get(self, name: ObjectName, *, start: int = 0, length: int | None = None) -> bytes:
        self.asked.append(name.partition("/")[0])
        return super().get(name, start=start, length=length)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self.asked.append(f"list {prefix.partition('/')[0]}")
        return super().list(prefix)


@pytest.fixture(scope="module")
def filled() -> Archive:
    archive = Archive()
    archive.backup(MANY)
    archive.clock.pass_(hours=1)
    archive.backup({1: plain_mail(9_001), 2: plain_mail(2)}, "bert")
    return archive


@pytest.fixture
def archive(filled: Archive) -> Archive:
    own = Archive(clock=filled.clock)
    own.store = MemoryStore(filled.store.objects, clock=filled.clock)
    return own


def look(archive: Archive, cache: Path, uid: int, mails: dict[int, bytes] = MANY) -> list[str]:
    """Take a message out of anna's newest snapshot as `cat` does, and tell what the store was asked."""
    store = Asked(archive.store)
    vault = open_to_look(store, archive.full_key, cache=cache)
    blob = blob_of(vault, mails[uid])
    assert holds_message(vault, vault.find("anna"), blob)
    assert vault.read_message(blob) == mails[uid]
    vault.close()
    return store.asked


def blob_of(vault: Vault, octets: bytes) -> BlobId:
    return vault.ring.blob_id(b"message", octets)


def test_with_a_warm_cache_the_store_is_asked_for_vault_snapshots_and_the_message_alone(
    archive: Archive, tmp_path: Path
) -> None:
    look(archive, tmp_path, 1_500)
    assert look(archive, tmp_path, 1_501) == ["vault.json", "list snapshots", "packs"]


def test_a_backup_leaves_the_cache_warm_for_its_own_pages(archive: Archive, tmp_path: Path) -> None:
    later = MANY | {4_000: plain_mail(4_000)}
    look(archive, tmp_path, 1_500)
    archive.backup(later, vault=open_vault(archive.store, archive.backup_key, cache=tmp_path))
    assert look(archive, tmp_path, 4_000, later) == ["vault.json", "list snapshots", "packs"]


def test_an_empty_machine_reads_pages_that_lie_together_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meta, "_BLOCK", 10_000)
    archive = Archive()
    archive.backup(MANY)
    store = Asked(archive.store)
    vault = open_to_look(store, archive.full_key, cache=tmp_path)
    messages_beginning(vault, vault.find("anna"), "0000")
    assert len(vault.index.blocks_of(archive.names("meta/")[0])) > 8
    assert store.asked.count("meta") <= 3


def test_an_empty_machine_begins_with_the_pages_that_were_written_with_the_message(tmp_path: Path) -> None:
    archive, held = Archive(), dict[int, bytes]()
    for day in range(6):
        held |= {n: plain_mail(n) for n in range(1 + 600 * day, 601 + 600 * day)}
        archive.backup(held)
        archive.clock.pass_(hours=24)
    read = [look(archive, tmp_path / str(uid), uid, held).count("meta") for uid in (100, 1_000, 2_000, 3_500)]
    assert max(read) <= 4
    everything = open_to_look(Asked(archive.store), archive.full_key, cache=tmp_path / "all")
    messages_beginning(everything, everything.find("anna"), "00ff")
    assert everything.store.asked.count("meta") > max(read)  # type: ignore[attr-defined]


def test_a_message_of_somebody_else_is_not_found_though_all_is_in_the_cache(archive: Archive, tmp_path: Path) -> None:
    vault = open_to_look(archive.store, archive.full_key, cache=tmp_path)
    own, shared = (blob_of(vault, plain_mail(n)) for n in (9_001, 2))
    anna, bert = vault.find("anna"), vault.find("bert")
    for _ in range(2):
        assert holds_message(vault, bert, own)
        assert not holds_message(vault, anna, own)
        assert holds_message(vault, anna, shared)
    assert messages_beginning(vault, anna, own.hex()[:12]) == set()
    assert messages_beginning(vault, bert, own.hex()[:12]) == {own}


def test_a_beginning_of_odd_length_finds_all_that_begin_so(archive: Archive) -> None:
    vault = open_to_look(archive.store, archive.full_key)
    anna = vault.find("anna")
    known = {blob_of(vault, octets) for octets in MANY.values()}
    for digits in {blob.hex()[:5] for blob in list(known)[:5]} | {"0", "00", "fff"}:
        assert messages_beginning(vault, anna, digits) == {one for one in known if one.hex().startswith(digits)}


def test_what_another_machine_backed_up_meanwhile_is_seen(archive: Archive, tmp_path: Path) -> None:
    look(archive, tmp_path, 1)
    archive.clock.pass_(hours=1)
    later = MANY | {4_000: plain_mail(4_000)}
    del later[7]
    archive.backup(later)
    look(archive, tmp_path, 4_000, later)
    vault = open_to_look(archive.store, archive.full_key, cache=tmp_path)
    assert not holds_message(vault, vault.find("anna"), blob_of(vault, MANY[7]))


def test_who_asks_while_another_thread_fills_the_index_waits_for_it(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = open_to_look(archive.store, archive.full_key)
    message, gathered, go_on = blob_of(vault, MANY[7]), threading.Event(), threading.Event()
    sort_in = vault.index.sort_in

    def slowly() -> None:
        gathered.set()
        go_on.wait(20)
        sort_in()

    monkeypatch.setattr(vault.index, "sort_in", slowly)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(vault.read_message, message)
        gathered.wait(20)
        second = threads.submit(vault.read_message, message)
        wait([second], timeout=0.5)
        go_on.set()
        assert [first.result(), second.result()] == [MANY[7]] * 2
    assert len(vault.index.objects()) > 1


def test_what_another_process_gathered_and_did_not_put_in_place_yet_is_found(archive: Archive, tmp_path: Path) -> None:
    filling, reading = (open_to_look(archive.store, archive.full_key, cache=tmp_path) for _ in range(2))
    for name in archive.names("index/"):
        filling.index.gather(name, read_index_object(archive.store, filling.ring, name))
    assert reading.read_message(blob_of(reading, MANY[7])) == MANY[7]


def test_what_a_prune_moved_meanwhile_is_found_where_it_is_now(tmp_path: Path) -> None:
    archive, stay = Archive(), {n: plain_mail(n) for n in range(1, 6)}
    archive.backup(stay | {n: plain_mail(n) for n in range(100, 300)})
    archive.clock.pass_(hours=24)
    archive.backup(stay)
    before = archive.names("packs/")
    look(archive, tmp_path, 1, stay)
    archive.prune_until_settled(Policy(last=1))
    assert not set(before) & set(archive.names("packs/"))
    asked = look(archive, tmp_path, 1, stay)
    assert asked.index("list index") < len(asked) - 1
    assert "list index" not in look(archive, tmp_path, 1, stay)


def test_a_block_that_was_damaged_in_the_cache_costs_a_request_and_nothing_else(
    archive: Archive, tmp_path: Path
) -> None:
    look(archive, tmp_path, 1)
    (file,) = tmp_path.glob("*.sqlite")
    with sqlite3.connect(file) as cache:
        assert cache.execute("UPDATE kept SET sealed = zeroblob(octets)").rowcount
    cache.close()
    assert "meta" in look(archive, tmp_path, 1)
    assert "meta" not in look(archive, tmp_path, 1)


def test_only_who_looks_takes_the_caches_word_for_what_the_store_holds(archive: Archive, tmp_path: Path) -> None:
    look(archive, tmp_path, 1)
    for name in archive.names("meta/"):
        del archive.store.objects[name]
    look(archive, tmp_path, 1)
    backing_up = open_vault(archive.store, archive.backup_key, cache=tmp_path)
    with pytest.raises(Damage):
        backing_up.tree(backing_up.find("anna"))


def test_the_cache_keeps_the_newest_blocks_and_no_more_than_it_has_room_for() -> None:
    cache = Cache(open_database(None), room=1_000)
    for number in range(50):
        cache.keep_blocks(ObjectName(f"meta/{number}"), [(0, bytes([number]) * 90), (90, b"")])
    kept = [number for number in range(50) if cache.kept_block(ObjectName(f"meta/{number}"), 0, 90)]
    assert kept == list(range(39, 50))
    assert cache.ask("SELECT SUM(LENGTH(sealed)) FROM kept") == [(990,)]


def test_a_cache_in_memory_keeps_no_blocks(archive: Archive) -> None:
    vault = open_to_look(archive.store, archive.full_key)
    vault.tree(vault.find("anna"))
    assert vault.index.ask("SELECT COUNT(*) FROM kept") == [(0,)]


def test_a_key_file_of_another_vault_does_not_open_this_one_to_look(archive: Archive) -> None:
    other, secret = MemoryStore(), Passphrase(new_secret())
    init_vault(other, secret.text)
    with pytest.raises(WrongSecret, match="another vault"):
        open_to_look(archive.store, KeyFile(export_key(other, secret, backup_only=False)))


@pytest.mark.parametrize("text", [None, b"{}", b"junk"])
def test_a_lost_or_altered_vault_file_keeps_no_key_file_from_looking(archive: Archive, text: bytes | None) -> None:
    store = Asked(archive.store)
    if text is None:
        del store.objects[VAULT_FILE]
    else:
        store.objects[VAULT_FILE] = text
    assert open_to_look(store, archive.full_key).accounts() == ["anna", "bert"]
    assert "list keys" in store.asked
