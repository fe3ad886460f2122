"""Writing a lost index anew, from what packs and meta objects say of themselves."""

from __future__ import annotations

from collections.abc import Iterator

from vault.clock import Clock
from vault.errors import Damage
from vault.ids import ObjectName, PackId
from vault.index import open_index, read_index_object, seal_index
from vault.keyring import unlock
from vault.keys import KeyRing
from vault.pack import PackEntry, PackKind, directory_span, open_directory
from vault.records import new_name
from vault.seal import HEADER_SIZE
from vault.slots import Secret
from vault.stores.base import ObjectInfo, WriteStore

_PACKS_AN_OBJECT = 500


def rebuild_index(store: WriteStore, secret: Secret, clock: Clock) -> int:
    """Write index objects for all packs that no readable index names; return how many packs that were.

    Reads each one's last few kilobytes only, and needs no key that reads mail. A pack whose end is damaged is left
    out; `check` names it.
    """
    ring = unlock(store, secret)
    named = _named(store, ring)
    batch: list[PackEntry] = []
    total = 0
    for entry in _entries(store, ring, named):
        batch.append(entry)
        total += 1
        if len(batch) >= _PACKS_AN_OBJECT:
            _write(store, ring, clock, batch)
            batch = []
    if batch:
        _write(store, ring, clock, batch)
    return total


def _named(store: WriteStore, ring: KeyRing) -> set[ObjectName]:
    index = open_index(None)
    for info in store.list("index/"):
        try:
            index.gather(info.name, read_index_object(store, ring, info.name))
        except Damage:
            continue  # what it named is written anew
    names = {name for name, _ in index.packs()}
    index.close()
    return names


def _entries(store: WriteStore, ring: KeyRing, named: set[ObjectName]) -> Iterator[PackEntry]:
    kinds: tuple[tuple[str, PackKind], ...] = (("packs/", "P"), ("meta/", "M"))
    for prefix, kind in kinds:
        for info in store.list(prefix):
            if info.name in named:
                continue
            try:
                yield _entry(store, ring, kind, info)
            except Damage:
                continue


def _entry(store: WriteStore, ring: KeyRing, kind: PackKind, info: ObjectInfo) -> PackEntry:
    if info.size < HEADER_SIZE + 4:
        raise Damage(f"{info.name} is cut short", object_name=info.name)
    footer = store.get(info.name, start=info.size - 4, length=4)
    start, length = directory_span(info.size, footer, info.name)
    head = store.get(info.name, length=HEADER_SIZE)
    sealed = store.get(info.name, start=start, length=length)
    directory = open_directory(ring.vault_id, ring.meta_key, kind, head, sealed, info.name)
    return PackEntry(PackId(bytes.fromhex(info.name.rpartition("/")[2])), info.size, directory)


def _write(store: WriteStore, ring: KeyRing, clock: Clock, entries: list[PackEntry]) -> None:
    name = ObjectName(f"index/{new_name(clock.now())}")
    store.put(name, seal_index(ring, name, entries))
