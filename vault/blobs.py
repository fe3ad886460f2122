"""Reading blobs: from an id to verified octets, through index, block and recipe."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from vault.columns import ColumnError
from vault.errors import Damage, ObjectCutShort, ObjectMissing
from vault.ids import BlobId, SessionId
from vault.index import Index, Location
from vault.keys import KeyRing
from vault.pack import BlockKey, block_key, meta_block_key
from vault.recipe import PLAIN, rebuild
from vault.shelf import Shelf
from vault.stores.base import ReadStore

_CACHE_OCTETS, _PIECES_OCTETS, _SMALL_PIECE = 24 << 20, 8 << 20, 32 << 10
_AHEAD_GROUPS, _AHEAD_OCTETS, _READERS = 16, 2 << 20, 8
_TOGETHER, _TOGETHER_OCTETS = 32, 512 << 10

Wanted = tuple[BlobId, int]
"""A blob, and about how many octets it makes: what is read ahead is bounded by that."""


class BlobReader:
    """Reads blobs of one vault. Safe to use from several threads; keeps recent blocks of small mails, about 32 MiB.

    With `keep`, blocks of pages and trees are kept on disk too, sealed, and not fetched again: not for who must know
    what the store still holds.
    """

    def __init__(self, store: ReadStore, ring: KeyRing, index: Index, *, keep: bool = False) -> None:
        self._store = store
        self._keep = keep
        self._ring = ring
        self._index = index
        self._lock = threading.Lock()
        self._blocks = Shelf[bytes](_CACHE_OCTETS)
        self._pieces = Shelf[bytes | memoryview](_PIECES_OCTETS)
        self._keys: dict[SessionId, BlockKey] = {}
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="read")

    def read(self, blob: BlobId, kind: bytes) -> bytes:
        """Return a blob's content, verified against its id; raises Damage, ContentKeyMissing, StoreError."""
        return self._read_any(blob, kind, self._index.locate(blob))

    def _read_any(self, blob: BlobId, kind: bytes, places: Sequence[Location]) -> bytes:
        found: Damage | None = None
        for place in places:
            try:
                return self._read_copy(blob, kind, place)
            except Damage as damage:
                found = found or damage
        raise found or Damage(
            f"no index knows blob {blob.hex()}", object_name=f"blob {blob.hex()}",
            hint="run `restante index rebuild`, then `restante check`",
        )  # fmt: skip

    def _read_copy(self, blob: BlobId, kind: bytes, place: Location) -> bytes:
        stored = self._stored(place)
        if kind == b"piece" and stored[:1] != PLAIN:
            # Else whoever can write an index could have a recipe ask for itself.
            raise Damage(f"{place.object_name} holds a piece made of pieces", object_name=place.object_name)
        # A message's own id proves its pieces too; only where it comes out wrong is each of them proved.
        for read_piece in (self._piece, lambda piece: self.read(piece, b"piece")):
            try:
                content = rebuild(stored, read_piece)
            except ColumnError as error:
                raise Damage(f"{place.object_name}: {error}", object_name=place.object_name) from None
            if self._ring.blob_id(kind, content) == blob:
                return content
        raise Damage(f"{place.object_name} holds other content than it should", object_name=place.object_name)

    def _piece(self, piece: BlobId) -> bytes | memoryview:
        """Return a piece, not proved yet. Small ones are kept: a letterhead's logo comes with thousands of mails."""
        return self._pieces.get(piece, lambda: self._any_piece(piece), at_most=_SMALL_PIECE)

    def _any_piece(self, piece: BlobId) -> bytes | memoryview:
        """Return what the newest copy holds; where that can't be had, what any other does.

        A large one comes as it lies in its block, which is its own; a small one that is kept must not keep all of one.
        """
        for place in self._index.locate(piece)[:1]:
            with suppress(Damage):
                stored = self._stored(place)
                if stored[:1] == PLAIN:
                    content = stored[1:]
                    return bytes(content) if len(content) <= _SMALL_PIECE else content
        return self.read(piece, b"piece")

    def read_ahead(self, wanted: Iterable[Wanted], kind: bytes) -> Iterator[tuple[BlobId, bytes | Damage]]:
        """Yield the content of each blob in the given order, or the damage found; reads some ahead in threads."""
        waiting: deque[tuple[int, Future[list[tuple[BlobId, bytes | Damage]]]]] = deque()
        ahead = 0
        try:
            for group, size in _groups(wanted):
                waiting.append((size, self._readers.submit(self._read_group, group, kind)))
                ahead += size
                while waiting and (len(waiting) >= _AHEAD_GROUPS or ahead > _AHEAD_OCTETS):
                    yield from waiting[0][1].result()
                    ahead -= waiting.popleft()[0]
            while waiting:
                yield from waiting.popleft()[1].result()
        finally:
            for _, future in waiting:
                future.cancel()

    def _read_group(self, blobs: Sequence[BlobId], kind: bytes) -> list[tuple[BlobId, bytes | Damage]]:
        places = self._index.locate_all(blobs)
        return [(blob, self._read_or_damage(blob, kind, places[blob])) for blob in blobs]

    def block(self, place: Location) -> bytes:
        """Return the plain octets of the block that a location lies in."""
        # An attachment fills its block; kept, it would push out blocks of small mails, which are asked for again.
        return self._blocks.get((place.object_name, place.offset), lambda: self._load(place), longer_than=place.length)

    def _load(self, place: Location) -> bytes:
        if not self._keep or place.kind == "P":
            return self._open(place, self._fetch(place))
        name = place.object_name
        if kept := self._index.kept_block(name, place.offset, place.stored):
            with suppress(Damage):  # else it was damaged here
                return self._open(place, kept)
        sealed = self._fetch(place)
        plain = self._open(place, sealed)
        self._index.keep_blocks(name, [(place.offset, sealed)])
        return plain

    def _open(self, place: Location, sealed: bytes) -> bytes:
        return self._key(place).open(place.counter, sealed, place.object_name)

    def _fetch(self, place: Location) -> bytes:
        name = place.object_name
        try:
            return self._store.get(name, start=place.offset, length=place.stored)
        except ObjectMissing:
            raise Damage(f"{name} is missing", object_name=name) from None
        except ObjectCutShort:
            raise Damage(f"{name} is cut short", object_name=name) from None

    def _key(self, place: Location) -> BlockKey:
        with self._lock:
            key = self._keys.get(place.session)
        if key is None:
            key = self._open_key(place)
            with self._lock:
                self._keys[place.session] = key
        return key

    def _open_key(self, place: Location) -> BlockKey:
        ring = self._ring
        if place.kind == "M":
            return meta_block_key(ring.vault_id, ring.meta_key, place.session)
        session = self._index.session(place.session)
        if session is None:
            raise Damage(f"{place.object_name}: no index knows its session key", object_name=place.object_name)
        return block_key(ring.vault_id, "P", session.id, ring.open_session(session, place.object_name))

    def _stored(self, place: Location) -> memoryview:
        stored = memoryview(self.block(place))[place.start : place.start + place.length]
        if len(stored) != place.length:
            raise Damage(f"{place.object_name}: a blob runs past its block", object_name=place.object_name)
        return stored

    def _read_or_damage(self, blob: BlobId, kind: bytes, places: Sequence[Location]) -> bytes | Damage:
        try:
            return self._read_any(blob, kind, places)
        except Damage as damage:
            return damage


def _groups(wanted: Iterable[Wanted]) -> Iterator[tuple[list[BlobId], int]]:
    """Put small blobs together, since handing each to a thread costs more than reading it; yield sizes too."""
    group: list[BlobId] = []
    size = 0
    for blob, octets in wanted:
        if group and (len(group) >= _TOGETHER or size + octets > _TOGETHER_OCTETS):
            yield group, size
            group, size = [], 0
        group.append(blob)
        size += octets
    if group:
        yield group, size
