"""The cache: a disposable SQLite file beside a vault, which spares reading small objects again.

It holds nothing that the vault does not; who finds it unusable begins it anew.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from vault.ids import BlobId, ObjectName

_SCHEMA_VERSION = 5
_ROOM = 256 << 20
_SCHEMA = """
CREATE TABLE objects (n INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);
CREATE TABLE packs (n INTEGER PRIMARY KEY, object INTEGER NOT NULL, id BLOB NOT NULL, kind TEXT NOT NULL,
                    size INTEGER NOT NULL);
CREATE TABLE blocks (n INTEGER PRIMARY KEY, pack INTEGER NOT NULL, session BLOB NOT NULL, counter INTEGER NOT NULL,
                     offset INTEGER NOT NULL, stored INTEGER NOT NULL, plain INTEGER NOT NULL, blobs INTEGER NOT NULL,
                     ids BLOB NOT NULL);
CREATE TABLE blobs (id BLOB NOT NULL, block INTEGER NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL,
                    PRIMARY KEY (id, block)) WITHOUT ROWID;
CREATE TABLE arrived (id BLOB NOT NULL, block INTEGER NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL);
CREATE TABLE sessions (id BLOB PRIMARY KEY, key_id BLOB NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE records (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE links (account TEXT NOT NULL, server_id BLOB NOT NULL, blob BLOB NOT NULL, size INTEGER NOT NULL,
                    PRIMARY KEY (account, server_id)) WITHOUT ROWID;
CREATE TABLE linked_pages (account TEXT NOT NULL, page BLOB NOT NULL, PRIMARY KEY (account, page)) WITHOUT ROWID;
CREATE TABLE uses (message BLOB NOT NULL, piece BLOB NOT NULL, PRIMARY KEY (message, piece)) WITHOUT ROWID;
CREATE TABLE covered (pack BLOB NOT NULL, teller BLOB NOT NULL, PRIMARY KEY (pack, teller)) WITHOUT ROWID;
CREATE TABLE uses_read (teller BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE kept (n INTEGER PRIMARY KEY, object TEXT NOT NULL, offset INTEGER NOT NULL, octets INTEGER NOT NULL,
                   sealed BLOB NOT NULL, UNIQUE (object, offset, octets));
CREATE INDEX blocks_of_pack ON blocks (pack);
CREATE INDEX packs_of_object ON packs (object);
CREATE INDEX packs_by_id ON packs (id);
"""


class Cache:
    """One such file: the bodies of small objects, server ids, sealed blocks. Safe to use from several threads.

    `room` is how many octets of blocks it may keep.
    """

    def __init__(self, database: sqlite3.Connection, room: int = _ROOM) -> None:
        self._db = database
        self._room = room
        self._lock = threading.Lock()
        weakref.finalize(self, database.close)

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

    def record(self, name: ObjectName) -> bytes | None:
        """Return the remembered body of a small object (snapshot, run record), or None."""
        with self._lock:
            row = self._db.execute("SELECT body FROM records WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def remember(self, name: ObjectName, body: bytes) -> None:
        """Keep the body of a small object."""
        with self._lock, self._db as db:
            db.execute("INSERT OR REPLACE INTO records VALUES (?, ?)", (name, body))

    def remembers(self, prefix: str) -> bool:
        """Say whether any small object below a prefix that ends with a slash is remembered."""
        with self._lock:
            query = "SELECT 1 FROM records WHERE name > ? AND name < ? LIMIT 1"
            return self._db.execute(query, (prefix, prefix[:-1] + "0")).fetchone() is not None

    def kept_block(self, name: ObjectName, offset: int, octets: int) -> bytes | None:
        """Return a block as it lies in an object, sealed, where it is kept; else None."""
        with self._lock:
            query = "SELECT sealed FROM kept WHERE object = ? AND offset = ? AND octets = ?"
            row = self._db.execute(query, (name, offset, octets)).fetchone()
        return None if row is None else bytes(row[0])

    def keep_blocks(self, name: ObjectName, blocks: Iterable[tuple[int, bytes]]) -> None:
        """Keep blocks of an object (offset, sealed octets), and let go of the oldest where there is no room."""
        if not self._room:
            return
        with self._lock, self._db as db:
            rows = ((name, offset, len(sealed), sealed) for offset, sealed in blocks)
            db.executemany("INSERT OR REPLACE INTO kept (object, offset, octets, sealed) VALUES (?, ?, ?, ?)", rows)
            (octets,) = db.execute("SELECT COALESCE(SUM(octets), 0) FROM kept").fetchone()
            while octets > self._room:
                n, less = db.execute("SELECT n, octets FROM kept ORDER BY n LIMIT 1").fetchone()
                db.execute("DELETE FROM kept WHERE n = ?", (n,))
                octets -= less

    def is_linked(self, account: str, page: BlobId) -> bool:
        """Say whether a page's server ids are known already."""
        with self._lock:
            query = "SELECT 1 FROM linked_pages WHERE account = ? AND page = ?"
            return self._db.execute(query, (account, page)).fetchone() is not None

    def link(self, account: str, rows: Iterable[tuple[bytes, BlobId, int]], pages: Sequence[BlobId] = ()) -> None:
        """Learn server ids (hash, blob, size), and the pages all of whose server ids are known with them."""
        with self._lock, self._db as db:
            db.executemany("INSERT OR REPLACE INTO links VALUES (?, ?, ?, ?)", ((account, *row) for row in rows))
            db.executemany("INSERT OR IGNORE INTO linked_pages VALUES (?, ?)", ((account, page) for page in pages))

    def linked(self, account: str, server_id: bytes) -> tuple[BlobId, int] | None:
        """Return the blob and size filed under a server id."""
        with self._lock:
            query = "SELECT blob, size FROM links WHERE account = ? AND server_id = ?"
            row = self._db.execute(query, (account, server_id)).fetchone()
        return None if row is None else (BlobId(row[0]), row[1])

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def open_database(path: Path | None) -> sqlite3.Connection:
    """Open the file, or a temporary one where `path` is None; a file that can't be used is begun anew."""
    if path is None:
        return _connect("")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        return _connect(str(path))
    except sqlite3.DatabaseError:
        for stale in path.parent.glob(path.name + "*"):
            stale.unlink()
        return _connect(str(path))


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
