"""Compaction: what is live is copied out of packs that are mostly dead, and index objects are merged.

Content is moved by whole sealed blocks, so no content key is needed; a session's counters say where a block belongs
whatever pack it lies in. Pages are sealed anew with the meta key. A pack whose octets do not have the SHA-256 in its
name is left as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence

from vault.clock import Clock, Progress, Quiet
from vault.ids import BlobId, ObjectName, PackId
from vault.index import seal_index
from vault.keys import KeyRing
from vault.liveness import Liveness
from vault.meta import meta_object
from vault.pack import Directory, PackEntry, SealedBlock, pack_entry, pack_of
from vault.recipe import PLAIN
from vault.records import new_name
from vault.stores.base import WriteStore
from vault.uses import encode_uses

_PACK, _META = 16 << 20, 8 << 20
_PACKS_AN_INDEX = 500


class Compaction:
    """Writes copies and the index that names them."""

    def __init__(
        self, store: WriteStore, ring: KeyRing, clock: Clock, live: Liveness, progress: Progress | None = None
    ) -> None:
        self._store = store
        self._ring = ring
        self._clock = clock
        self._live = live
        self._progress = progress or Quiet()
        self._written: list[PackEntry] = []
        self._pieces: dict[BlobId, tuple[BlobId, ...]] = {}
        self._told: set[PackId] = set()

    def copy(self, names: Collection[ObjectName]) -> list[ObjectName]:
        """Copy what is kept of packs and meta objects; return those that are not what was written, left alone."""
        spoilt: list[ObjectName] = []
        self._progress.expect("", len(names), 0)
        contents = [name for name in names if name.startswith("packs/")]
        for group in _packs_of(self._blocks(contents, spoilt)):
            self._write_pack(group)
        metas = [name for name in names if name.startswith("meta/")]
        for blobs in self._pages(metas):
            self._put(*meta_object(self._ring, blobs))
        for name in metas:
            for pack in self._live.told_by(name):
                self._tell(pack, self._live.pieces_in(pack))
        if self._told:
            self._put(*meta_object(self._ring, {}, encode_uses(sorted(self._told), self._pieces)))
        return spoilt

    def _tell(self, pack: PackId, pieces: dict[BlobId, tuple[BlobId, ...]]) -> None:
        self._told.add(pack)
        self._pieces.update(pieces)

    def _blocks(self, names: Iterable[ObjectName], spoilt: list[ObjectName]) -> Iterator[tuple[SealedBlock, PackId]]:
        for entry in self._live.entries(names):
            self._progress.advance("", 1, entry.size)
            data = self._store.get(entry.name)
            if hashlib.sha256(data).digest() != entry.id:
                spoilt.append(entry.name)
                continue
            kept = self._live.kept_blocks(entry.name)
            sessions = {session.id: session for session in entry.directory.sessions}
            runs = {block.session for block in entry.directory.blocks if block.offset in kept}
            for block in entry.directory.blocks:
                # A catalogue goes along with mail of its own run, which it may describe; no other is carried on.
                if block.offset in kept or (block.session in runs and not block.blobs):
                    octets = data[block.offset : block.offset + block.stored]
                    yield SealedBlock(block, octets, sessions[block.session]), entry.id

    def _write_pack(self, group: Sequence[tuple[SealedBlock, PackId]]) -> None:
        entry = self._put(*pack_of(self._ring, (sealed for sealed, _ in group)))
        moved = {blob for sealed, _ in group for blob, _ in sealed.block.blobs}
        for source in {pack for _, pack in group}:
            self._tell(entry.id, {m: p for m, p in self._live.pieces_in(source).items() if m in moved})

    def _pages(self, names: Iterable[ObjectName]) -> Iterator[dict[BlobId, bytes]]:
        blobs: dict[BlobId, bytes] = {}
        octets = 0
        for name in names:
            self._progress.advance("", 1, 0)
            for blob in self._live.kept_blobs(name):
                blobs[blob] = PLAIN + self._live.read_meta(blob)
                octets += len(blobs[blob])
                if octets >= _META:
                    yield blobs
                    blobs, octets = {}, 0
        if blobs:
            yield blobs

    def _put(self, data: bytes, directory: Directory) -> PackEntry:
        entry = pack_entry(data, directory)
        self._store.put(entry.name, data)
        self._written.append(entry)
        return entry

    def write_index(self, names: Collection[ObjectName]) -> None:
        """Write index objects for what was copied, and for what else must be named anew."""
        entries = [*self._written]
        for entry in self._live.entries(names):
            entries.append(entry)
            if len(entries) >= _PACKS_AN_INDEX:
                self._write_index(entries)
                entries = []
        if entries:
            self._write_index(entries)

    def _write_index(self, entries: list[PackEntry]) -> None:
        name = ObjectName(f"index/{new_name(self._clock.now())}")
        self._store.put(name, seal_index(self._ring, name, entries))


def _packs_of(blocks: Iterable[tuple[SealedBlock, PackId]]) -> Iterator[list[tuple[SealedBlock, PackId]]]:
    group: list[tuple[SealedBlock, PackId]] = []
    octets = 0
    for one in blocks:
        group.append(one)
        octets += len(one[0].octets)
        if octets >= _PACK:
            yield group
            group, octets = [], 0
    if group:
        yield group
