"""Checking one pack or meta object to its last byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from vault.blobs import BlobReader
from vault.columns import ColumnError
from vault.errors import ContentKeyMissing, Damage
from vault.ids import BlobId, ObjectName, SessionId
from vault.index import Index
from vault.keys import SealedSession
from vault.pack import Block, BlockKey, Directory, PackKind, block_key, directory_span, meta_block_key, open_directory
from vault.recipe import PLAIN, rebuild
from vault.seal import HEADER_SIZE
from vault.stores.base import ObjectInfo, ReadStore
from vault.vault import Vault


class Trouble(NamedTuple):
    """What is wrong with an object, and the blob that it costs, if it is one.

    With `if_needed` it is nothing but what comes of pruning, unless a snapshot needs the blob.
    """

    object_name: str
    reason: str
    blob: BlobId | None = None
    if_needed: bool = False


class PackChecker:
    """Reads objects whole and recomputes everything in them."""

    def __init__(self, vault: Vault, index: Index) -> None:
        self._vault = vault
        self._ring = vault.ring
        self._index = index
        self._store = _OneInMemory(vault.store)
        self._reader = BlobReader(self._store, vault.ring, index)
        self.unopened: set[ObjectName] = set()
        """Packs whose content key is not at hand; only their SHA-256 was compared."""

    def check(self, name: ObjectName) -> Iterator[Trouble]:
        """Yield what is wrong with one pack or meta object. Raises StoreError."""
        data = self._vault.store.get(name)
        self._store.hold(name, data)
        if hashlib.sha256(data).hexdigest() != name.rpartition("/")[2]:
            yield Trouble(name, "its octets do not have the SHA-256 that its name says")
        try:
            directory = self._directory(name, data)
        except Damage as damage:
            yield Trouble(name, damage.message)
            directory = None
        told = self._index.blocks_of(name)
        if directory and told and directory.blocks != told:
            yield Trouble(name, "its directory and the index say different things")
        sessions = {s.id: s for s in directory.sessions} if directory else {}
        for block in told or (directory.blocks if directory else ()):
            yield from self._block(name, data, block, sessions)

    def _directory(self, name: ObjectName, data: bytes) -> Directory:
        start, length = directory_span(len(data), data[-4:], name)
        sealed = data[start : start + length]
        return open_directory(self._ring.vault_id, self._ring.meta_key, _kind(name), data[:HEADER_SIZE], sealed, name)

    def _block(
        self, name: ObjectName, data: bytes, block: Block, sessions: dict[SessionId, SealedSession]
    ) -> Iterator[Trouble]:
        try:
            key = self._key(name, block, sessions)
            plain = key.open(block.counter, data[block.offset : block.offset + block.stored], name)
        except ContentKeyMissing:
            self.unopened.add(name)
            return
        except Damage as damage:
            yield Trouble(name, damage.message)
            for blob, _ in block.blobs:
                yield Trouble(name, damage.message, blob)
            return
        at = 0
        for blob, length in block.blobs:
            yield from self._blob(name, blob, plain[at : at + length])
            at += length

    def _key(self, name: ObjectName, block: Block, sessions: dict[SessionId, SealedSession]) -> BlockKey:
        ring = self._ring
        if _kind(name) == "M":
            return meta_block_key(ring.vault_id, ring.meta_key, block.session)
        session = sessions.get(block.session) or self._index.session(block.session)
        if session is None:
            raise Damage(f"{name}: its session key is nowhere", object_name=name)
        return block_key(ring.vault_id, "P", session.id, ring.open_session(session, name))

    def _blob(self, name: ObjectName, blob: BlobId, stored: bytes) -> Iterator[Trouble]:
        if stored.startswith(PLAIN):
            kinds = (b"message", b"piece") if _kind(name) == "P" else (b"meta",)
            if not any(self._ring.blob_id(kind, stored[1:]) == blob for kind in kinds):
                yield Trouble(name, "a blob in it holds other content than it should", blob)
            return
        try:
            content = rebuild(stored, lambda piece: self._reader.read(piece, b"piece"))
            if self._ring.blob_id(b"message", content) != blob:
                yield Trouble(name, "a recipe in it makes another message than it should", blob)
        except ColumnError as error:
            yield Trouble(name, str(error), blob)
        except ContentKeyMissing:
            self.unopened.add(name)
        except Damage as damage:
            # The message is lost, but by the object that held its attachment; one that nobody needs may outlive it.
            at_fault = damage.object_name if "/" in damage.object_name else "index/"
            yield Trouble(at_fault, damage.message, blob, if_needed=True)


class _OneInMemory:
    """A store that serves one object from memory, so that a message's own pack is not fetched twice."""

    def __init__(self, store: ReadStore) -> None:
        self._store = store
        self._name: ObjectName | None = None
        self._data = b""

    @property
    def url(self) -> str:
        return self._store.url

    def hold(self, name: ObjectName, data: bytes) -> None:
        """Serve this object from memory from now on."""
        self._name, self._data = name, data

    def get(self, name: ObjectName, *, start: int = 0, length: int | None = None) -> bytes:
        if name == self._name:
            return self._data[start:] if length is None else self._data[start : start + length]
        return self._store.get(name, start=start, length=length)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return self._store.list(prefix)

    def stat(self, name: ObjectName) -> ObjectInfo:
        return self._store.stat(name)


def _kind(name: ObjectName) -> PackKind:
    return "P" if name.startswith("packs/") else "M"
