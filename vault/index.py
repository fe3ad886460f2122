"""The index: which blob lies in which block of which pack, kept in a disposable SQLite file.

Its truth is the `index/` objects; the file only spares reading them again. Memory stays bounded however many blobs
there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vault.cache import Cache, open_database
from vault.columns import ColumnError, ColumnReader, ColumnWriter
from vault.errors import Damage, ObjectMissing
from vault.ids import BlobId, ObjectName, PackId, SessionId
from vault.keys import KeyRing, SealedSession
from vault.pack import (
    Block,
    PackEntry,
    PackKind,
    decode_directory,
    decode_sessions,
    encode_directory,
    encode_sessions,
    pack_name,
)
from vault.seal import open_object, seal_object
from vault.stores.base import ReadStore

_SORTED_AT_ONCE = 1_000_000


class Location(NamedTuple):
    """Where a blob's stored form lies: an object, a sealed block in it, a span of the block's plain octets."""

    object_name: ObjectName
    kind: PackKind
    session: SessionId
    counter: int
    offset: int
    stored: int
    start: int
    length: int


def encode_index(entries: Sequence[PackEntry]) -> bytes:
    """Return an index object's body: sessions, then ids, kinds and sizes of packs, then each one's directory."""
    sessions = {s.id: s for entry in entries for s in entry.directory.sessions}
    columns = ColumnWriter()
    encode_sessions(columns, list(sessions.values()))
    columns.octets(b"".join(e.id for e in entries)).octets("".join(e.directory.kind for e in entries).encode())
    columns.numbers(e.size for e in entries)
    for entry in entries:
        encode_directory(columns, entry.directory)
    return columns.done()


def decode_index(body: bytes) -> list[PackEntry]:
    """Return the packs of an index object's body; raises ColumnError."""
    columns = ColumnReader(body)
    sessions = decode_sessions(columns)
    ids, kinds, sizes = columns.fixed(32), columns.octets().decode("latin-1"), columns.numbers()
    if not len(ids) == len(kinds) == len(sizes):
        raise ColumnError("an index's columns differ in length")
    entries = []
    for pack, kind, size in zip(ids, kinds, sizes, strict=True):
        if kind not in ("P", "M"):
            raise ColumnError("an index names a pack of unknown kind")
        known: PackKind = "P" if kind == "P" else "M"
        entries.append(PackEntry(PackId(pack), size, decode_directory(columns, known, sessions)))
    columns.done()
    return entries


def read_index_object(store: ReadStore, ring: KeyRing, name: ObjectName) -> list[PackEntry]:
    """Fetch and open one index object; raises Damage."""
    body = open_object(ring.meta_key, ring.vault_id, "I", name, store.get(name))
    try:
        return decode_index(body)
    except ColumnError as error:
        raise Damage(f"{name}: {error}", object_name=name) from None


def seal_index(ring: KeyRing, name: ObjectName, entries: Sequence[PackEntry]) -> bytes:
    """Return an index object's octets."""
    return seal_object(ring.meta_key, ring.vault_id, "I", name, encode_index(entries))


class Index(Cache):
    """Looks blobs up. Safe to use from several threads."""

    _bare = False

    def refresh(self, store: ReadStore, ring: KeyRing) -> list[Damage]:
        """Load index objects not seen before and forget vanished ones; return those that can't be read."""
        loaded = self.objects()  # first, since another process that shares the file may add what is not listed yet
        listed = {info.name for info in store.list("index/")}
        self._forget(loaded - listed)
        return self.load(store, ring, sorted(listed - loaded))

    def load(self, store: ReadStore, ring: KeyRing, names: Iterable[ObjectName]) -> list[Damage]:
        """Load index objects; return those that can't be read."""
        damage = []
        for name in names:
            try:
                self.gather(name, read_index_object(store, ring, name))
            except Damage as error:
                damage.append(error)
            except ObjectMissing:
                # Maintenance writes what takes its place long before it deletes an index object.
                if any(info.name == name for info in store.list(name)):
                    damage.append(Damage(f"{name} is listed, but missing", object_name=name))
        self.sort_in()
        return damage

    def add(self, name: ObjectName, entries: Iterable[PackEntry]) -> None:
        """Learn the packs of one index object."""
        self.gather(name, entries)
        self.sort_in()

    def gather(self, name: ObjectName, entries: Iterable[PackEntry]) -> None:
        """Learn the packs of one index object of many; their blobs are found once they are all sorted in."""
        with self._lock, self._db as db:
            added = db.execute("INSERT OR IGNORE INTO objects (name) VALUES (?)", (name,))
            if not added.rowcount:
                return  # another process that shares the file was faster
            for entry in entries:
                self._add_pack(added.lastrowid, entry)
            (waiting,) = db.execute("SELECT COALESCE(MAX(rowid), 0) FROM arrived").fetchone()
        if waiting >= _SORTED_AT_ONCE:
            self.sort_in()

    def sort_in(self) -> None:
        """Move what was gathered into its place, in order of id: ids are random, and one by one each costs a page."""
        with self._lock, self._db as db:
            db.execute("INSERT OR IGNORE INTO blobs SELECT * FROM arrived ORDER BY id, block")
            db.execute("DELETE FROM arrived")
            self._bare = db.execute("SELECT 1 FROM blobs LIMIT 1").fetchone() is None

    def _add_pack(self, number: int | None, entry: PackEntry) -> None:
        directory = entry.directory
        pack = self._db.execute(
            "INSERT INTO packs (object, id, kind, size) VALUES (?, ?, ?, ?)",
            (number, entry.id, directory.kind, entry.size),
        ).lastrowid
        self._db.executemany("INSERT OR IGNORE INTO sessions VALUES (?, ?, ?)", directory.sessions)
        rows: list[tuple[BlobId, int | None, int, int]] = []
        for b in directory.blocks:
            block = self._db.execute(
                "INSERT INTO blocks (pack, session, counter, offset, stored, plain, blobs, ids)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (pack, *b[:5], len(b.blobs), b"".join(blob for blob, _ in b.blobs)),
            ).lastrowid
            start = 0
            for blob, length in b.blobs:
                rows.append((blob, block, start, length))
                start += length
        self._db.executemany("INSERT INTO arrived VALUES (?, ?, ?, ?)", rows)

    def _forget(self, names: Collection[ObjectName]) -> None:
        packs = "SELECT packs.n FROM packs JOIN objects ON object = objects.n WHERE name = ?"
        with self._lock, self._db as db:
            for name in names:
                blocks = f"SELECT n, ids FROM blocks WHERE pack IN ({packs})"  # noqa: S608 constant text
                self._forget_blobs(db.execute(blocks, (name,)).fetchall())
                db.execute(f"DELETE FROM blocks WHERE pack IN ({packs})", (name,))  # noqa: S608 constant text
                db.execute("DELETE FROM packs WHERE object = (SELECT n FROM objects WHERE name = ?)", (name,))
                db.execute("DELETE FROM objects WHERE name = ?", (name,))

    def distrust(self, name: ObjectName) -> None:
        """Forget what a damaged pack or meta object holds, so that it is written again when it comes by."""
        blocks = "SELECT blocks.n, ids FROM blocks JOIN packs ON pack = packs.n WHERE packs.id = ?"
        with self._lock, self._db as db:
            self._forget_blobs(db.execute(blocks, (_pack_id(name),)).fetchall())

    def _forget_blobs(self, blocks: Iterable[tuple[int, bytes]]) -> None:
        gone = ((blob, block) for block, ids in blocks for blob in _ids(ids))
        self._db.executemany("DELETE FROM blobs WHERE id = ? AND block = ?", gone)

    def has(self, blob: BlobId) -> bool:
        """Say whether the vault holds a blob."""
        if self._bare:
            return False  # as at a first backup, which asks for every blob
        with self._lock:
            return self._db.execute("SELECT 1 FROM blobs WHERE id = ?", (blob,)).fetchone() is not None

    def locate(self, blob: BlobId) -> list[Location]:
        """Say where a blob lies, once for each copy, the newest first; a run writes anew what another found damaged."""
        return self.locate_all([blob])[blob]

    def locate_all(self, blobs: Sequence[BlobId]) -> dict[BlobId, list[Location]]:
        """Say the same of many blobs, a thousand or so, at once."""
        marks = ",".join("?" * len(blobs))
        query = (
            "SELECT blobs.id, packs.id, kind, session, counter, offset, stored, start, length FROM blobs"  # noqa: S608
            " JOIN blocks ON block = blocks.n JOIN packs ON pack = packs.n"
            f" WHERE blobs.id IN ({marks}) ORDER BY block DESC"
        )
        with self._lock:
            rows = self._db.execute(query, blobs).fetchall()
        found: dict[BlobId, list[Location]] = {blob: [] for blob in blobs}
        for blob, pack, *place in rows:
            found[blob].append(Location(pack_name(place[0], PackId(pack)), *place))
        return found

    def after(self, first: BlobId, blobs: Iterable[BlobId]) -> list[BlobId]:
        """Sort blobs by when they were written: what came next after a given one first, what came before it last.

        Blocks are numbered as index objects were learned, whose names tell their time; so it is no more than likely.
        """
        query = "SELECT COALESCE(MAX(block), 0) FROM blobs WHERE id = ?"
        with self._lock:
            (start,) = self._db.execute(query, (first,)).fetchone()
            known = [(self._db.execute(query, (blob,)).fetchone()[0], blob) for blob in blobs]
        return [blob for n, blob in sorted(known, key=lambda one: (one[0] < start, abs(one[0] - start)))]

    def session(self, session: SessionId) -> SealedSession | None:
        """Return a session's sealed key."""
        with self._lock:
            row = self._db.execute("SELECT id, key_id, sealed FROM sessions WHERE id = ?", (session,)).fetchone()
        return None if row is None else SealedSession(*row)

    def catalogues(self, blobs: Iterable[BlobId]) -> list[Location]:
        """Return the catalogue blocks of all packs that hold any of these blobs."""
        wanted: set[int] = set()
        with self._lock:
            for blob in blobs:
                query = "SELECT pack FROM blobs JOIN blocks ON block = n WHERE id = ? LIMIT 1"
                wanted.update(pack for (pack,) in self._db.execute(query, (blob,)))
            rows = [
                self._db.execute(
                    "SELECT packs.id, kind, session, counter, offset, stored, 0, plain FROM blocks"
                    " JOIN packs ON pack = packs.n WHERE pack = ? AND kind = 'P' AND blobs = 0",
                    (pack,),
                ).fetchall()
                for pack in sorted(wanted)
            ]
        return [Location(pack_name(row[1], PackId(row[0])), *row[1:]) for found in rows for row in found]

    def unread_uses(self) -> list[Location]:
        """Return the blocks that tell which pieces messages need and that were not learned yet, one object each."""
        with self._lock:
            rows = self._db.execute(
                "SELECT packs.id, kind, session, counter, offset, stored, 0, plain FROM packs"
                " JOIN blocks ON pack = packs.n WHERE kind = 'M' AND blobs = 0"
                " AND packs.id NOT IN (SELECT teller FROM uses_read) GROUP BY packs.id"
            ).fetchall()
        return [Location(pack_name(row[1], PackId(row[0])), *row[1:]) for row in rows]

    def learn_uses(self, name: ObjectName, packs: Iterable[PackId], pieces: Mapping[BlobId, Sequence[BlobId]]) -> None:
        """Learn what the one of a meta object says."""
        teller = _pack_id(name)
        pairs = ((message, piece) for message, found in pieces.items() for piece in found)
        with self._lock, self._db as db:
            db.executemany("INSERT OR IGNORE INTO uses VALUES (?, ?)", pairs)
            db.executemany("INSERT OR IGNORE INTO covered VALUES (?, ?)", ((pack, teller) for pack in packs))
            db.execute("INSERT OR IGNORE INTO uses_read VALUES (?)", (teller,))

    def pieces(self, message: BlobId) -> list[BlobId] | None:
        """Return the pieces that a message needs, or None where nothing tells."""
        with self._lock:
            known = self._db.execute(
                "SELECT 1 FROM blobs JOIN blocks ON block = blocks.n JOIN packs ON blocks.pack = packs.n"
                " JOIN covered ON covered.pack = packs.id WHERE blobs.id = ? LIMIT 1",
                (message,),
            ).fetchone()
            rows = self._db.execute("SELECT piece FROM uses WHERE message = ?", (message,)).fetchall()
        return [BlobId(piece) for (piece,) in rows] if known else None

    def objects(self) -> set[ObjectName]:
        """Return the names of the index objects learned."""
        with self._lock:
            return {ObjectName(name) for (name,) in self._db.execute("SELECT name FROM objects")}

    def packs(self) -> list[tuple[ObjectName, int]]:
        """Return the name and size of every object that holds blobs."""
        with self._lock:
            rows = self._db.execute("SELECT DISTINCT id, kind, size FROM packs").fetchall()
        return [(pack_name(kind, PackId(pack)), size) for pack, kind, size in rows]

    def blocks_of(self, name: ObjectName) -> tuple[Block, ...]:
        """Return the blocks of one object as its index tells them."""
        query = (
            "SELECT n, ids, session, counter, offset, stored, plain FROM blocks"
            " WHERE pack = (SELECT n FROM packs WHERE id = ? LIMIT 1) ORDER BY n"
        )
        with self._lock:
            found = self._db.execute(query, (_pack_id(name),)).fetchall()
            return tuple(
                Block(SessionId(session), counter, offset, stored, plain, self._blobs_in(n, ids))
                for n, ids, session, counter, offset, stored, plain in found
            )

    def _blobs_in(self, block: int, ids: bytes) -> tuple[tuple[BlobId, int], ...]:
        query = "SELECT length FROM blobs WHERE id = ? AND block = ?"
        rows = ((blob, self._db.execute(query, (blob, block)).fetchone()) for blob in _ids(ids))
        return tuple((blob, row[0]) for blob, row in rows if row)

    def places_in(self, pack: PackId) -> Iterator[tuple[int, int, BlobId]]:
        """Yield the number and offset of the block, and the id, of each blob in an object."""
        query = "SELECT blocks.n, offset, ids FROM blocks JOIN packs ON pack = packs.n WHERE packs.id = ?"
        for block, offset, ids in self.ask(query, (pack,)):
            yield from ((block, offset, blob) for blob in _ids(ids))

    def size_of(self, name: ObjectName) -> int | None:
        """Return how long an object should be, or None for one that no index names."""
        pack = _pack_id(name)
        with self._lock:
            row = self._db.execute("SELECT size FROM packs WHERE id = ? LIMIT 1", (pack,)).fetchone()
        return None if row is None else int(row[0])


def _ids(octets: bytes) -> list[BlobId]:
    return [BlobId(octets[i : i + 16]) for i in range(0, len(octets), 16)]


def _pack_id(name: ObjectName) -> PackId:
    """Return the id in a name; of a name that is none of ours one that no pack has."""
    try:
        return PackId(bytes.fromhex(name.rpartition("/")[2]))
    except ValueError:
        return PackId(b"")


def open_index(path: Path | None) -> Index:
    """Open the cache file, or a temporary one where `path` is None, which keeps no blocks.

    A file that can't be used is begun anew.
    """
    return Index(open_database(path)) if path else Index(open_database(None), room=0)
