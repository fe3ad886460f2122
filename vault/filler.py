"""Filling a vault: messages and pages into blobs, each stored once; whole packs of them are made durable.

The rest is for whoever publishes (vault/writer.py): the last blocks, which fill no pack, pages, and an index.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from vault.catalogue import describe
from vault.gate import Gate
from vault.ids import BlobId, ObjectName
from vault.pack import PackEntry, SealedBlock
from vault.packer import Packer, PackLimits
from vault.recipe import PLAIN, Part, Stored, encode_recipe, split
from vault.stores.base import WriteStore
from vault.uses import learn_uses
from vault.vault import Vault
from vault.waiting import StoredBlob, Stretch

if TYPE_CHECKING:
    from vault.claims import Claims  # multiprocessing takes a while to import


class Added(msgspec.Struct, frozen=True):
    """What became of a message: its blob, and whether the vault had it before."""

    blob: BlobId
    known: bool


class Settled(msgspec.Struct, frozen=True):
    """What was made durable in packs of its own, and what is left to be put into objects with what others leave."""

    packs: list[PackEntry]
    rest: list[SealedBlock]
    meta: dict[BlobId, bytes]
    uses: dict[BlobId, tuple[BlobId, ...]]


class Filler(ABC):
    """Takes the messages and pages of accounts; all of them fill the same packs. Safe to use from several threads.

    A failure is fatal: every later message and flush raises the same error. `vanished` are the objects that the store
    lost, `condemned` those that a prune will delete: what is in them counts as absent. Where several processes fill a
    vault for one run, they share `claims`.
    """

    def __init__(
        self,
        vault: Vault,
        store: WriteStore,
        limits: PackLimits,
        *,
        vanished: Collection[ObjectName],
        condemned: Collection[ObjectName],
        claims: Claims | None = None,
    ) -> None:
        self.vanished = vanished
        """Packs and meta objects that an index names, no prune condemned, and the store no longer holds whole."""
        self._vault = vault
        self._store = store
        self._ring = vault.ring
        self._limits = limits
        self._claims = claims
        self._lock = threading.Lock()
        self._gate = Gate()
        self._packer = Packer(store, vault.ring, limits)
        self._pending: set[BlobId] = set()
        self._uses: dict[BlobId, tuple[BlobId, ...]] = {}
        self._meta: dict[BlobId, bytes] = {}
        self._meta_octets = 0
        gone = {*vanished, *condemned}
        self._absent = {name for name, _ in vault.index.packs() if name in gone} if gone else set[ObjectName]()
        self._uses_known = False

    @property
    def packs_waiting(self) -> int:
        """How many packs are sent that no index names yet."""
        return self._packer.packs_done

    @abstractmethod
    def flush(self) -> None:
        """Make all that was added durable, and have an index name it."""

    def add_message(self, octets: bytes, stretch: Stretch) -> Added:
        """Keep a message, whose account counts the stored octets it costs. Raises StoreError of an earlier upload."""
        blob = self._ring.blob_id(b"message", octets)
        # What one account calls known another must have finished adding before a flush.
        with self._gate.shared():
            known = not self._claim_mail(blob)
            try:
                if known:
                    self._add_lost_pieces(octets, stretch)
                else:
                    self._add_new(blob, octets, stretch)
            except BaseException as failure:
                self._packer.fail(failure)  # others may rely on what we have claimed
                raise
            return Added(blob, known)

    def _add_new(self, blob: BlobId, octets: bytes, stretch: Stretch) -> None:
        literals: list[bytes] = []
        parts: list[Stored] = []
        for part in split(octets):
            if isinstance(part, bytes):
                literals.append(part)
                parts.append(Stored(part, None, 0, b""))
            else:
                parts.append(Stored(b"", self._add_piece(part, stretch), part.width, part.eol))
        pieces = tuple(p.blob for p in parts if p.blob is not None)
        stored = encode_recipe(parts) if pieces else PLAIN + octets
        if pieces:
            with self._lock:
                self._uses[blob] = pieces
        self._packer.add(StoredBlob(blob, stored, stretch, describe(blob, literals)))

    def _add_lost_pieces(self, octets: bytes, stretch: Stretch) -> None:
        """Write anew what a recipe that is still there would look for in vain: it may have outlived its pieces."""
        for part in split(octets):
            if isinstance(part, Part):
                self._add_piece(part, stretch)

    def _add_piece(self, part: Part, stretch: Stretch) -> BlobId:
        blob = self._ring.blob_id(b"piece", part.content)
        if self._claim_mail(blob):
            self._packer.add(StoredBlob(blob, PLAIN + part.content, stretch, None))
        return blob

    def add_meta(self, content: bytes) -> BlobId:
        """Keep a page, node or tree."""
        blob = self._ring.blob_id(b"meta", content)
        with self._gate.shared():
            if self._claim(blob):
                with self._lock:
                    self._meta[blob] = PLAIN + content
                    self._meta_octets += len(content)
        if self._meta_octets >= self._limits.meta:
            self.flush()
        return blob

    def holds(self, blob: BlobId) -> bool:
        """Say whether the vault has a message whole, or will have once this run is flushed."""
        with self._lock:
            if blob in self._pending:
                return True
            if not self._stored(blob):
                return False
            if not self._uses_known:
                learn_uses(self._vault.index, self._vault.blobs)
                self._uses_known = True
            # A message that nobody needed for long may have outlived its pieces.
            pieces = self._vault.index.pieces(blob)
            return pieces is not None and all(p in self._pending or self._stored(p) for p in pieces)

    def _stored(self, blob: BlobId) -> bool:
        if not self._absent:
            return self._vault.index.has(blob)
        return any(place.object_name not in self._absent for place in self._vault.index.locate(blob))

    def read_meta(self, blob: BlobId) -> bytes:
        """Return a page, node or tree, be it durable yet or not."""
        with self._lock:
            waiting = self._meta.get(blob)
        return waiting[1:] if waiting is not None else self._vault.read_meta(blob)

    def _claim(self, blob: BlobId) -> bool:
        """Say whether a blob is new to the vault and to this run; if so, it is ours to write.

        Called behind the gate, so that nothing moves from what is pending to the index meanwhile.
        """
        if blob in self._pending or self._stored(blob):
            return False
        with self._lock:
            if blob in self._pending:
                return False
            self._pending.add(blob)
            return True

    def _claim_mail(self, blob: BlobId) -> bool:
        """Say the same of a message or piece, of this run's other processes too.

        What one of them has taken will be durable before any snapshot of the run is written.
        """
        return self._claim(blob) and (self._claims is None or self._claims.take(blob))

    @contextmanager
    def settled(self) -> Iterator[Settled]:
        """Make all that was added durable or hand it over, and add nothing more until an index names it.

        Where none does, because the block raises, what was settled is lost to this run, which must end.
        """
        with self._gate.exclusive():
            packs, rest = self._packer.flush()
            yield Settled(packs, rest, self._meta, self._uses)
            with self._lock:
                self._meta, self._meta_octets, self._uses = {}, 0, {}
                self._pending.clear()

    def close(self) -> None:
        """Stop the threads; what was not flushed is lost, which harms nothing."""
        self._packer.close()
