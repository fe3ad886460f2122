"""The index: which blob lies in which block of which pack, kept in a disposable SQLite file.

Its truth is the `index/` objects; the file only spares reading them again. Memory stays bounded however many blobs
there are.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

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

_SCHEMA_VERSION = 3
_SCHEMA = """
CREATE TABLE objects (n INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);
CREATE TABLE packs (n INTEGER PRIMARY KEY, object INTEGER NOT NULL, id BLOB NOT NULL, kind TEXT NOT NULL,
                    size INTEGER NOT NULL);
CREATE TABLE blocks (n INTEGER PRIMARY KEY, pack INTEGER NOT NULL, session BLOB NOT NULL, counter INTEGER NOT NULL,
                     offset INTEGER NOT NULL, stored INTEGER NOT NULL, plain INTEGER NOT NULL, blobs INTEGER NOT NULL);
CREATE TABLE blobs (id BLOB NOT NULL, block INTEGER NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL,
                    PRIMARY KEY (id, block)) WITHOUT ROWID;
CREATE TABLE sessions (id BLOB PRIMARY KEY, key_id BLOB NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE records (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE links (account TEXT NOT NULL, server_id BLOB NOT NULL, blob BLOB NOT NULL, size INTEGER NOT NULL,
                    PRIMARY KEY (account, server_id)) WITHOUT ROWID;
CREATE TABLE linked_pages (account TEXT NOT NULL, page BLOB NOT NULL, PRIMARY KEY (account, page)) WITHOUT ROWID;
CREATE TABLE uses (message BLOB NOT NULL, piece BLOB NOT NULL, PRIMARY KEY (message, piece)) WITHOUT ROWID;
CREATE TABLE covered (pack BLOB NOT NULL, teller BLOB NOT NULL, PRIMARY KEY (pack, teller)) WITHOUT ROWID;
CREATE TABLE uses_read (teller BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE INDEX blocks_of_pack ON blocks (pack);
CREATE INDEX blobs_of_block ON blobs (block);
CREATE INDEX packs_of_object ON packs (object);
CREATE INDEX packs_by_id ON packs (id);
"""


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


class Index:
    """Looks blobs up. Safe to use from several threads."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database
        self._lock = threading.Lock()
        weakref.finalize(self, database.close)

    def refresh(self, store: ReadStore, ring: KeyRing) -> list[Damage]:
        """Load index objects not seen before and forget vanished ones; return those that can't be read."""
        listed = {info.name for info in store.list("index/")}
        loaded = self.objects()
        self._forget(loaded - listed)
        damage = []
        for name in sorted(listed - loaded):
            try:
                self.add(name, read_index_object(store, ring, name))
            except Damage as error:
                damage.append(error)
            except ObjectMissing:
                # Maintenance writes what takes its place long before it deletes an index object.
                if any(info.name == name for info in store.list(name)):
                    damage.append(Damage(f"{name} is listed, but missing", object_name=name))
        return damage

    def add(self, name: ObjectName, entries: Iterable[PackEntry]) -> None:
        """Learn the packs of one index object."""
        with self._lock, self._db as db:
            added = db.execute("INSERT OR IGNORE INTO objects (name) VALUES (?)", (name,))
            if not added.rowcount:
                return  # another process that shares the file was faster
            number = added.lastrowid
            for entry in entries:
                self._add_pack(number, entry)

    def _add_pack(self, number: int | None, entry: PackEntry) -> None:
        directory = entry.directory
        pack = self._db.execute(
            "INSERT INTO packs (object, id, kind, size) VALUES (?, ?, ?, ?)",
            (number, entry.id, directory.kind, entry.size),
        ).lastrowid
        self._db.executemany("INSERT OR IGNORE INTO sessions VALUES (?, ?, ?)", directory.sessions)
        for b in directory.blocks:
            block = self._db.execute(
                "INSERT INTO blocks (pack, session, counter, offset, stored, plain, blobs)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (pack, b.session, b.counter, b.offset, b.stored, b.plain, len(b.blobs)),
            ).lastrowid
            start, rows = 0, []
            for blob, length in b.blobs:
                rows.append((blob, block, start, length))
                start += length
            self._db.executemany("INSERT OR IGNORE INTO blobs VALUES (?, ?, ?, ?)", rows)

    def _forget(self, names: Collection[ObjectName]) -> None:
        packs = "SELECT packs.n FROM packs JOIN objects ON object = objects.n WHERE name = ?"
        with self._lock, self._db as db:
            for name in names:
                db.execute(
                    f"DELETE FROM blobs WHERE block IN (SELECT n FROM blocks WHERE pack IN ({packs}))",  # noqa: S608 constant text
                    (name,),
                )
                db.execute(f"DELETE FROM blocks WHERE pack IN ({packs})", (name,))  # noqa: S608 constant text
                db.execute("DELETE FROM packs WHERE object = (SELECT n FROM objects WHERE name = ?)", (name,))
                db.execute("DELETE FROM objects WHERE name = ?", (name,))

    def distrust(self, name: ObjectName) -> None:
        """Forget what a damaged pack or meta object holds, so that it is written again when it comes by."""
        pack = _pack_id(name)
        blocks = "SELECT blocks.n FROM blocks JOIN packs ON pack = packs.n WHERE packs.id = ?"
        with self._lock, self._db as db:
            db.execute(f"DELETE FROM blobs WHERE block IN ({blocks})", (pack,))  # noqa: S608 constant text

    def has(self, blob: BlobId) -> bool:
        """Say whether the vault holds a blob."""
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

    def ask(self, query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Answer what maintenance asks of all tables at once."""
        with self._lock:
            return self._db.execute(query, parameters).fetchall()

    def tell(self, query: str, rows: Iterable[Sequence[object]] | None = None) -> None:
        """Take what maintenance notes beside the tables: once, or once for each row."""
        with self._lock, self._db as db:
            if rows is None:
                db.execute(query)
            else:
                db.executemany(query, rows)

    def packs(self) -> list[tuple[ObjectName, int]]:
        """Return the name and size of every object that holds blobs."""
        with self._lock:
            rows = self._db.execute("SELECT DISTINCT id, kind, size FROM packs").fetchall()
        return [(pack_name(kind, PackId(pack)), size) for pack, kind, size in rows]

    def blocks_of(self, name: ObjectName) -> tuple[Block, ...]:
        """Return the blocks of one object as its index tells them."""
        pack = _pack_id(name)
        blocks = (
            "SELECT n, session, counter, offset, stored, plain FROM blocks"
            " WHERE pack = (SELECT n FROM packs WHERE id = ? LIMIT 1) ORDER BY n"
        )
        blobs = "SELECT id, length FROM blobs WHERE block = ? ORDER BY start"
        with self._lock:
            return tuple(
                Block(SessionId(session), counter, offset, stored, plain, tuple(self._db.execute(blobs, (n,))))
                for n, session, counter, offset, stored, plain in self._db.execute(blocks, (pack,)).fetchall()
            )

    def size_of(self, name: ObjectName) -> int | None:
        """Return how long an object should be, or None for one that no index names."""
        pack = _pack_id(name)
        with self._lock:
            row = self._db.execute("SELECT size FROM packs WHERE id = ? LIMIT 1", (pack,)).fetchone()
        return None if row is None else int(row[0])

    def record(self, name: ObjectName) -> bytes | None:
        """Return the remembered body of a small object (snapshot, run record), or None."""
        with self._lock:
            row = self._db.execute("SELECT body FROM records WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def remember(self, name: ObjectName, body: bytes) -> None:
        """Keep the body of a small object."""
        with self._lock, self._db as db:
            db.execute("INSERT OR REPLACE INTO records VALUES (?, ?)", (name, body))

    def is_linked(self, account: str, page: BlobId) -> bool:
        """Say whether a page's server ids are known already."""
        with self._lock:
            query = "SELECT 1 FROM linked_pages WHERE account = ? AND page = ?"
            return self._db.execute(query, (account, page)).fetchone() is not None

    def link(self, account: str, page: BlobId | None, rows: Iterable[tuple[bytes, BlobId, int]]) -> None:
        """Learn server ids (hash, blob, size): all of a page's, or some of none."""
        with self._lock, self._db as db:
            db.executemany("INSERT OR REPLACE INTO links VALUES (?, ?, ?, ?)", ((account, *row) for row in rows))
            if page is not None:
                db.execute("INSERT OR IGNORE INTO linked_pages VALUES (?, ?)", (account, page))

    def linked(self, account: str, server_id: bytes) -> tuple[BlobId, int] | None:
        """Return the blob and size filed under a server id."""
        with self._lock:
            query = "SELECT blob, size FROM links WHERE account = ? AND server_id = ?"
            row = self._db.execute(query, (account, server_id)).fetchone()
        return None if row is None else (BlobId(row[0]), row[1])

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _pack_id(name: ObjectName) -> PackId:
    """Return the id in a name; of a name that is none of ours one that no pack has."""
    try:
        return PackId(bytes.fromhex(name.rpartition("/")[2]))
    except ValueError:
        return PackId(b"")


def open_index(path: Path | None) -> Index:
    """Open the cache file, or a temporary one where `path` is None; a file that can't be used is begun anew."""
    if path is None:
        return Index(_connect(""))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        return Index(_connect(str(path)))
    except sqlite3.DatabaseError:
        for stale in path.parent.glob(path.name + "*"):
            stale.unlink()
        return Index(_connect(str(path)))


def _connect(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False, timeout=60)
    # Losing the cache costs time, never mail, so it need not survive a power cut.
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        with db:
            db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;")
    elif version != _SCHEMA_VERSION:
        db.close()
        raise sqlite3.DatabaseError("cache of another version")
    return db
