"""The packer: blobs into solid blocks, blocks into packs, packs to the store, in threads with bounded memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from itertools import count

import msgspec

from vault.catalogue import Catalogue
from vault.errors import Damage
from vault.ids import BlobId
from vault.keys import KeyRing
from vault.pack import Block, BlockKey, Directory, PackEntry, SealedBlock, block_key, end_pack, pack_entry
from vault.seal import HEADER_SIZE, checksum, new_header
from vault.stores.base import WriteStore
from vault.waiting import StoredBlob, Waiting

_FULL_ENOUGH = 3 / 4


class PackLimits(msgspec.Struct, frozen=True):
    """Sizes in octets, and how many things happen at once. Tests make them tiny, to cross every border.

    From `alone` on an attachment, and from `message_alone` on the text of a message, has a block of its own: text gains
    from company.
    """

    pack: int = 16 << 20
    catalogue: int = 16 << 20
    meta: int = 16 << 20
    block: int = 2 << 20
    alone: int = 32 << 10
    message_alone: int = 128 << 10
    in_flight: int = 16 << 20
    uploads: int = 2
    solid_level: int = 5
    alone_level: int = 3


class _OpenPack:
    """Blocks gathered for the next pack."""

    def __init__(self) -> None:
        self.header = new_header("P")
        self.begun = BytesIO()
        self.begun.write(self.header.encode())
        self.blocks: list[Block] = []
        self.catalogue = Catalogue()
        self.size = HEADER_SIZE

    def add(self, key: BlockKey, counter: int, sealed: bytes, plain: int, blobs: Iterable[tuple[BlobId, int]]) -> None:
        self.blocks.append(Block(key.session, counter, self.size, len(sealed), plain, tuple(blobs)))
        self.begun.write(sealed)
        self.size += len(sealed)


class Packer:
    """Takes stored blobs from many threads and sends packs. The first failure stops everything and is raised again."""

    def __init__(self, store: WriteStore, ring: KeyRing, limits: PackLimits) -> None:
        self._store = store
        self._ring = ring
        self._limits = limits
        self._session, key = ring.new_session()
        self._key = block_key(ring.vault_id, "P", self._session.id, key)
        self._counter = count()
        self._lock = threading.Condition()
        self._waiting = Waiting(limits.block)
        self._in_flight = 0
        self._open = _OpenPack()
        self._done: list[PackEntry] = []
        self._failure: BaseException | None = None
        self._sealers = ThreadPoolExecutor(os.cpu_count() or 2, thread_name_prefix="seal")
        self._senders = ThreadPoolExecutor(limits.uploads, thread_name_prefix="send")
        self._sending = threading.BoundedSemaphore(limits.uploads)

    @property
    def packs_done(self) -> int:
        """How many packs were sent since the last flush."""
        with self._lock:
            return len(self._done)

    def add(self, blob: StoredBlob) -> None:
        """Take a blob; waits while too much is on its way. Raises the first failure."""
        with self._lock:
            self._raise_failure()
            if self._is_alone(blob):
                self._submit([blob])
                return
            if group := self._waiting.add(blob):
                self._submit(group)

    def _is_alone(self, blob: StoredBlob) -> bool:
        return len(blob.stored) >= (self._limits.message_alone if blob.entry else self._limits.alone)

    def flush(self) -> tuple[list[PackEntry], list[SealedBlock]]:
        """Seal all that was added and send it, but for a rest that is too little for a pack of its own.

        Returns the packs sent since the last flush, and that rest. Raises the first failure.
        """
        with self._lock:
            while group := self._waiting.gather():
                self._submit(group)
            self._lock.wait_for(lambda: self._in_flight == 0)
            self._raise_failure()
            last, self._open = self._open, _OpenPack()
        alone = last.size >= _FULL_ENOUGH * self._limits.pack
        if alone:
            self._send(last)
        with self._lock:
            self._lock.wait_for(lambda: self._in_flight == 0)
            self._raise_failure()
            done, self._done = self._done, []
        return done, [] if alone else self._rest(last)

    def _rest(self, last: _OpenPack) -> list[SealedBlock]:
        self._add_catalogue(last)
        octets = last.begun.getvalue()
        return [SealedBlock(b, octets[b.offset : b.offset + b.stored], self._session) for b in last.blocks]

    def fail(self, failure: BaseException) -> None:
        """Take no more, and have whoever adds or flushes next raise this, or what failed before."""
        with self._lock:
            self._failure = self._failure or failure
            self._lock.notify_all()

    def close(self) -> None:
        """Stop the threads."""
        self.fail(RuntimeError("the packer is closed"))
        self._sealers.shutdown(wait=True, cancel_futures=True)
        self._senders.shutdown(wait=True, cancel_futures=True)

    def _submit(self, group: list[StoredBlob]) -> None:
        """Hand a block to the sealers; called with the lock held, which waiting lets go."""
        size = sum(len(blob.stored) for blob in group)
        self._lock.wait_for(lambda: self._in_flight == 0 or self._in_flight + size <= self._limits.in_flight)
        self._raise_failure()
        self._in_flight += size
        self._sealers.submit(self._seal, group, size)

    def _seal(self, group: list[StoredBlob], size: int) -> None:
        with self._work(size):
            plain = b"".join(blob.stored for blob in group)
            with self._lock:
                counter = next(self._counter)
            level = self._limits.alone_level if self._is_alone(group[0]) else self._limits.solid_level
            sealed = self._key.seal(counter, plain, level)
            _verify(self._ring, self._key.open(counter, sealed, "a new block"), group)
            for blob in group:
                blob.stretch.account.add(len(sealed) * len(blob.stored) // size)
            full = self._append(counter, sealed, size, group)
            if full:
                self._send(full)

    def _append(self, counter: int, sealed: bytes, size: int, group: list[StoredBlob]) -> _OpenPack | None:
        """Add a sealed block to the open pack; return the pack where it is full."""
        with self._lock:
            self._open.add(self._key, counter, sealed, size, ((blob.id, len(blob.stored)) for blob in group))
            for blob in group:
                if blob.entry:
                    self._open.catalogue.add(blob.entry)
            # Mails of a few words make a catalogue that is far larger than their blocks, and lies in memory.
            if self._open.size < self._limits.pack and self._open.catalogue.octets < self._limits.catalogue:
                return None
            full, self._open = self._open, _OpenPack()
            return full

    def _send(self, pack: _OpenPack) -> None:
        """Finish a pack and send it in the background; waits while enough packs are being sent."""
        self._sending.acquire()
        with self._lock:
            self._in_flight += 1
        self._senders.submit(self._finish_and_put, pack)

    def _finish_and_put(self, pack: _OpenPack) -> None:
        with self._work(1):
            try:
                entry, data = self._finish(pack)
                del pack
                self._store.put(entry.name, data)
            finally:
                self._sending.release()
            with self._lock:
                self._done.append(entry)

    def _finish(self, pack: _OpenPack) -> tuple[PackEntry, bytes]:
        self._add_catalogue(pack)
        directory = Directory("P", tuple(pack.blocks), (self._session,))
        data = end_pack(self._ring.vault_id, self._ring.meta_key, pack.header, directory, pack.begun)
        return pack_entry(data, directory), data

    def _add_catalogue(self, pack: _OpenPack) -> None:
        if pack.catalogue:
            with self._lock:
                counter = next(self._counter)
            catalogue = pack.catalogue.encode()
            pack.add(self._key, counter, self._key.seal(counter, catalogue, 9), len(catalogue), ())

    @contextmanager
    def _work(self, size: int) -> Iterator[None]:
        """Count work as done, however it ends; keep the first failure for whoever adds or flushes next."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 carried over to the thread that adds, and raised there
            with self._lock:
                self._failure = self._failure or error
        finally:
            with self._lock:
                self._in_flight -= size
                self._lock.notify_all()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _verify(ring: KeyRing, plain: bytes, group: Sequence[StoredBlob]) -> None:
    """Recompute what each blob must hash to: a bit flip in RAM must not become a hollow backup."""
    at, view = 0, memoryview(plain)
    for blob in group:
        stored = view[at : at + len(blob.stored)]
        at += len(stored)
        if blob.digest:
            sound = checksum(stored) == blob.digest
        else:
            sound = ring.blob_id(b"message" if blob.entry else b"piece", stored[1:]) == blob.id
        if not sound:
            hint = "memory, processor or compressor made an error; do not trust this machine until it is tested"
            raise Damage("a block just built does not hold what was put in", object_name="a new block", hint=hint)
