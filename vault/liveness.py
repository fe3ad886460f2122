"""Liveness: which blobs the snapshots need, and where each of them lies.

It trusts no cache: index objects are read anew. What it gathers is kept in a file of its own, so that memory stays
bounded however many messages there are. Anything that can't be read stops it (Damage): who deletes must know all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

import msgspec

from vault.blobs import BlobReader
from vault.columns import ColumnError
from vault.decoding import decode
from vault.errors import Damage, ObjectMissing
from vault.ids import BlobId, ObjectName, PackId
from vault.index import Index, open_index, read_index_object
from vault.keys import KeyRing
from vault.model import Snapshot, Tree
from vault.pack import PackEntry, pack_name
from vault.stores.base import ObjectInfo, ReadStore
from vault.table import flag_table, message_table
from vault.uses import learn_uses

_SCHEMA = (
    "CREATE TABLE noted (id BLOB NOT NULL, kept INTEGER NOT NULL)",
    "CREATE TABLE live (id BLOB PRIMARY KEY, kept INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE present (id BLOB PRIMARY KEY, condemned INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE standing (block INTEGER PRIMARY KEY, place INTEGER NOT NULL, told INTEGER NOT NULL)",
    """CREATE TABLE home (id BLOB PRIMARY KEY, kept INTEGER NOT NULL, block INTEGER NOT NULL, place INTEGER NOT NULL)
       WITHOUT ROWID""",
)
# Of several copies the one counts that is not condemned, whose pieces are known, in the pack of lowest id: all prunes
# choose alike. `place` says all that in one number, whose low bits tell the block.
_STANDING = """
INSERT INTO standing
SELECT blocks.n, (place << 40) + blocks.n, told FROM (
    SELECT packs.n AS n, kind = 'M' OR covered AS told,
           DENSE_RANK() OVER (ORDER BY condemned, NOT covered, id) AS place
    FROM (SELECT packs.n, packs.id, kind, condemned, packs.id IN (SELECT pack FROM covered) AS covered
          FROM packs JOIN present ON present.id = packs.id) AS packs
) AS there JOIN blocks ON pack = there.n
"""
# Of a group, SQLite takes the other columns from the row that has the least.
_HOMES = """
INSERT INTO home
SELECT live.id, kept, standing.block, MIN(place)
FROM live JOIN blobs ON blobs.id = live.id JOIN standing ON standing.block = blobs.block
GROUP BY live.id
"""


# Of several meta objects that tell the pieces of a pack's messages, one counts.
_USES = """
WITH whole AS (SELECT MIN(n) AS n, id, kind, size FROM packs GROUP BY id),
used AS (SELECT block, MAX(kept) AS kept FROM home GROUP BY block),
sums AS (SELECT packs.id AS id, SUM(stored * kept) AS kept, SUM(stored) AS needed
         FROM used JOIN blocks ON blocks.n = used.block JOIN packs ON packs.n = blocks.pack GROUP BY packs.id),
tellers AS (SELECT teller FROM (
    SELECT teller, ROW_NUMBER() OVER (PARTITION BY covered.pack ORDER BY tells.condemned, teller) AS place
    FROM covered JOIN present AS told ON told.id = covered.pack JOIN present AS tells ON tells.id = teller
    WHERE told.condemned = 0 OR told.id IN (SELECT id FROM sums)
) WHERE place = 1)
SELECT whole.id, kind, size, condemned, COALESCE(kept, 0), COALESCE(needed, 0),
       whole.id IN (SELECT teller FROM tellers), whole.id IN (SELECT pack FROM covered)
FROM whole JOIN present ON present.id = whole.id LEFT JOIN sums ON sums.id = whole.id
"""
_SORTED_AT_ONCE = 1_000_000


class PackUse(NamedTuple):
    """What the snapshots need of a pack or meta object: octets of its blocks, for those kept and for any there is.

    `tells` says whether it is what tells the pieces of some pack's messages, `told` whether something tells its own.
    """

    name: ObjectName
    size: int
    condemned: bool
    kept: int
    needed: int
    tells: bool
    told: bool


class Liveness:
    """Gathers what is live. `close` lets go of the file."""

    def __init__(self, store: ReadStore, ring: KeyRing) -> None:
        self._store = store
        self._ring = ring
        self.index: Index = open_index(None)
        self._reader = BlobReader(store, ring, self.index)
        self._seen: set[bytes] = set()
        self._present: set[ObjectName] = set()
        self._walked: list[Snapshot] = []
        self._broken = False
        self._noted = 0
        self._settled = False
        self.indexes: dict[ObjectName, list[ObjectName]] = {}
        """Every index object with the packs it names; one that can't be read names none."""
        for statement in _SCHEMA:
            self.index.tell(statement)

    def read_indexes(self, listed: Iterable[ObjectInfo]) -> None:
        """Read all index objects, then what tells the pieces of messages. Raises Damage, StoreError."""
        for info in listed:
            try:
                entries = read_index_object(self._store, self._ring, info.name)
            except (Damage, ObjectMissing):
                entries = []  # `hollow` tells whether anything in it is needed
            self.indexes[info.name] = [entry.name for entry in entries]
            self.index.gather(info.name, entries)
        self.index.sort_in()

    def present(self, sizes: dict[ObjectName, int], condemned: Collection[ObjectName]) -> None:
        """Learn which packs and meta objects are there, whole, going by their size."""
        named = dict(self.index.packs())
        self._present = {name for name, size in named.items() if sizes.get(name) == size}
        rows = ((_id(name), name in condemned) for name in self._present)
        self.index.tell("INSERT INTO present VALUES (?, ?)", rows)

    def walk(self, snapshots: Iterable[Snapshot], *, kept: bool) -> None:
        """Note all that snapshots need, first of those kept, then of the rest. Raises StoreError."""

        def note(blobs: Collection[BlobId]) -> None:
            self.index.tell("INSERT INTO noted VALUES (?, ?)", ((blob, kept) for blob in blobs))
            self._noted += len(blobs)
            if self._noted >= _SORTED_AT_ONCE:
                self._sort_in()

        walker = _Walker(self._reader, note, self._seen)
        for snapshot in snapshots:
            self._settled = False
            self._walked.append(snapshot)
            try:
                walker.walk(snapshot)
            except Damage:
                self._broken = True
        self._sort_in()

    def _sort_in(self) -> None:
        """Move what was noted into its place in order of id; what was kept before stays so."""
        self.index.tell("INSERT OR IGNORE INTO live SELECT id, kept FROM noted ORDER BY id")
        self.index.tell("DELETE FROM noted")
        self._noted = 0

    def settle(self) -> None:
        """Add the pieces of live messages and choose where each live blob lies. Raises Damage, StoreError."""
        if self._settled:
            return
        for damage in learn_uses(self.index, self._reader, self._present):
            raise damage
        self.index.tell(
            "INSERT OR IGNORE INTO live SELECT piece, MAX(kept) FROM uses JOIN live ON message = live.id GROUP BY piece"
        )
        for statement in ("DELETE FROM standing", _STANDING, "DELETE FROM home", _HOMES):
            self.index.tell(statement)
        self._settled = True

    def hollow(self) -> list[Snapshot]:
        """Return the snapshots that need something which lies in no object that is there. Raises StoreError."""
        lost = {blob for (blob,) in self.index.ask("SELECT id FROM live WHERE id NOT IN (SELECT id FROM home)")}
        if lost:
            users = "SELECT message FROM uses JOIN live ON id = piece WHERE id NOT IN (SELECT id FROM home)"
            lost |= {message for (message,) in self.index.ask(users)}
        suspects = self._walked if lost or self._broken else ()
        return [snapshot for snapshot in suspects if self._needs(snapshot, lost)]

    def _needs(self, snapshot: Snapshot, lost: set[bytes]) -> bool:
        needed: set[bytes] = set()
        try:
            _Walker(self._reader, needed.update, set()).walk(snapshot)
        except Damage:
            return True
        return bool(needed & lost)

    def untold(self) -> int:
        """Return how many live messages there are of which nothing tells the pieces."""
        query = (
            "SELECT COUNT(*) FROM home JOIN standing ON standing.block = home.block"
            " WHERE NOT told AND id NOT IN (SELECT piece FROM uses)"
        )
        return int(self.index.ask(query)[0][0])

    def uses(self) -> list[PackUse]:
        """Return what the snapshots need of each pack and meta object that is there."""
        return [PackUse(pack_name(kind, PackId(pack)), *rest) for pack, kind, *rest in self.index.ask(_USES)]

    def kept_blocks(self, name: ObjectName) -> set[int]:
        """Return where the blocks of a pack begin that hold something kept."""
        return {offset for offset, _ in self._kept(name)}

    def kept_blobs(self, name: ObjectName) -> list[BlobId]:
        """Return the blobs of a meta object that something kept needs."""
        return [blob for _, blob in self._kept(name)]

    def _kept(self, name: ObjectName) -> Iterator[tuple[int, BlobId]]:
        """Yield the offset and id of each blob kept that is at home in an object."""
        kept = "SELECT 1 FROM home WHERE id = ? AND block = ? AND kept"
        for block, offset, blob in self.index.places_in(PackId(_id(name))):
            if self.index.ask(kept, (blob, block)):
                yield offset, blob

    def told_by(self, name: ObjectName) -> list[PackId]:
        """Return the packs that are there and of whose messages a meta object tells the pieces."""
        query = "SELECT pack FROM covered JOIN present ON present.id = pack WHERE teller = ?"
        return [PackId(pack) for (pack,) in self.index.ask(query, (_id(name),))]

    def pieces_in(self, pack: PackId) -> dict[BlobId, tuple[BlobId, ...]]:
        """Return the messages in a pack that need pieces, with all that any of their copies needs."""
        query = "SELECT piece FROM uses WHERE message = ?"
        needs = ((message, self.index.ask(query, (message,))) for _, _, message in self.index.places_in(pack))
        return {message: tuple(BlobId(piece) for (piece,) in pieces) for message, pieces in needs if pieces}

    def read_meta(self, blob: BlobId) -> bytes:
        """Return a page, node or tree, verified. Raises Damage, StoreError."""
        return self._reader.read(blob, b"meta")

    def entries(self, names: Iterable[ObjectName]) -> Iterator[PackEntry]:
        """Yield index entries of packs, each once. Raises Damage, StoreError."""
        wanted = set(names)
        for index, packs in self.indexes.items():
            if not wanted.isdisjoint(packs):
                for entry in read_index_object(self._store, self._ring, index):
                    if entry.name in wanted:
                        wanted.discard(entry.name)
                        yield entry

    def close(self) -> None:
        """Let go of the file."""
        self.index.close()


class _Walker:
    """Goes from snapshots to all that they need; what was `seen` once is not read again."""

    def __init__(self, reader: BlobReader, note: Callable[[Collection[BlobId]], None], seen: set[bytes]) -> None:
        self._reader = reader
        self._note = note
        self._seen = seen

    def walk(self, snapshot: Snapshot) -> None:
        """Note all that a snapshot needs. Raises Damage, StoreError."""
        try:
            tree = decode(self._read(BlobId(snapshot.tree)), Tree)
            for mailbox in tree.mailboxes:
                self._rows(mailbox.rows)
                self._flags(mailbox.flags)
        except (ColumnError, msgspec.DecodeError):
            raise Damage(f"snapshot {snapshot.id} can't be read to its end", object_name=snapshot.id) from None

    def _rows(self, root: bytes | None) -> None:
        if root is None or root in self._seen:
            return
        for page, load in message_table(self._read, BlobId(root)).pages():
            if page not in self._seen:
                self._note([row.blob for row in load()])
                self._seen.add(page)
        self._seen.add(root)

    def _flags(self, root: bytes | None) -> None:
        if root is None or root in self._seen:
            return
        self._note([page for page, _ in flag_table(self._read, BlobId(root)).pages()])
        self._seen.add(root)

    def _read(self, blob: BlobId) -> bytes:
        self._note([blob])
        return self._reader.read(blob, b"meta")


def _id(name: ObjectName) -> bytes:
    return bytes.fromhex(name.rpartition("/")[2])
