"""Writing: messages and pages into blocks, packs and an index, in the order that makes a crash harmless.

Packs, then meta objects, then index, then snapshots: what a snapshot names is durable before the snapshot exists.

Prunes may go on meanwhile (vault/prune.py); no locks keep the two apart. A writer reads tombstones before it reads the
index, and takes what is in condemned objects for absent: an object that is gone already is in no index, one that goes
later is in a tombstone. Just before it writes snapshots it looks again. A tombstone that came since and is younger than
half the grace period does no harm: nothing of it is deleted before a prune has seen the snapshots now written. One that
is older, or an index object that vanished, means that the run slept or dawdled, and it is given up (Overtaken). A run
that is suspended for half the grace period between that look and the snapshot notices afterwards, and says so. Should
it die there, the next run sees how late the snapshot came, and looks whether all that it names is there.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import chain

import msgspec

from vault.catalogue import describe
from vault.clock import Clock
from vault.errors import Damage, ObjectMissing, Overtaken
from vault.gate import Gate
from vault.ids import BlobId, ObjectName, SnapshotId
from vault.index import seal_index
from vault.keyring import refuse_doubtful
from vault.keys import KeyRing
from vault.model import Failure, Snapshot, Status
from vault.pack import Block, Directory, finish_pack, meta_block_key, pack_entry
from vault.packer import Packer, PackLimits, Share, StoredBlob
from vault.recipe import PLAIN, Part, Stored, encode_recipe, split
from vault.records import (
    Confirmed,
    RunRecord,
    chain_link,
    new_name,
    rfc3339,
    seal_record,
    snapshot_name,
    write_run,
)
from vault.seal import new_header
from vault.stores.base import ObjectInfo, WriteStore
from vault.together import together
from vault.tombstones import GRACE, read_graveyard
from vault.uses import encode_uses, learn_uses
from vault.vault import Vault

_META_OBJECT = 16 << 20
_META_BLOCK = 1 << 20
_META_LEVEL = 9


class Added(msgspec.Struct, frozen=True):
    """What became of a message: its blob, and whether the vault had it before."""

    blob: BlobId
    known: bool


class SnapshotDraft(msgspec.Struct, frozen=True):
    """All that an account's new snapshot says, but for its place in the chain."""

    account: str
    status: Status
    tree: BlobId
    mailboxes: int
    messages: int
    octets: int
    failures: tuple[Failure, ...] = ()
    alarms: tuple[str, ...] = ()


class VaultWriter:
    """One writer a job: all its accounts fill the same packs. Safe to use from several threads.

    A failed upload is fatal: every later call raises the same error, and no snapshot is written.
    """

    def __init__(
        self, vault: Vault, store: WriteStore, *, clock: Clock, tool: str = "", limits: PackLimits | None = None
    ) -> None:
        with ThreadPoolExecutor(1) as aside:
            reading = aside.submit(read_graveyard, store, vault.ring)
            refuse_doubtful(store, vault.ring)
            graves = reading.result()
        self._vault = vault
        self._store = store
        self._clock = clock
        self._tool = tool
        self._ring = vault.ring
        self._limits = limits or PackLimits()
        self._lock = threading.Lock()
        self._gate = Gate()
        self._packer = Packer(store, vault.ring, self._limits)
        self._pending: set[BlobId] = set()
        self._uses: dict[BlobId, tuple[BlobId, ...]] = {}
        self._meta: dict[BlobId, bytes] = {}
        self._meta_octets = 0
        vault.refresh()
        self._known_stones = graves.names
        self._based_on = vault.index.objects()
        self.vanished = _vanished(vault) - graves.condemned.keys()
        """Packs and meta objects that an index names, no prune condemned, and the store no longer holds whole."""
        self._absent = self.vanished | (graves.condemned.keys() & {name for name, _ in vault.index.packs()})
        self._uses_known = False

    @property
    def packs_waiting(self) -> int:
        """How many packs are sent that no index names yet."""
        return self._packer.packs_done

    def add_message(self, octets: bytes, share: Share) -> Added:
        """Keep a message; `share` is told how many stored octets it costs. Raises StoreError of an earlier upload."""
        blob = self._ring.blob_id(b"message", octets)
        # What one account calls known another must have finished adding before a flush.
        with self._gate.shared():
            if not self._claim(blob):
                self._add_lost_pieces(octets, share)
                return Added(blob, known=True)
            self._add_new(blob, octets, share)
            return Added(blob, known=False)

    def _add_new(self, blob: BlobId, octets: bytes, share: Share) -> None:
        literals: list[bytes] = []
        parts: list[Stored] = []
        for part in split(octets):
            if isinstance(part, bytes):
                literals.append(part)
                parts.append(Stored(part, None, 0, b""))
            else:
                parts.append(Stored(b"", self._add_piece(part, share), part.width, part.eol))
        pieces = tuple(p.blob for p in parts if p.blob is not None)
        stored = encode_recipe(parts) if pieces else PLAIN + octets
        if pieces:
            with self._lock:
                self._uses[blob] = pieces
        self._packer.add(StoredBlob(blob, stored, share, describe(blob, literals)))

    def _add_lost_pieces(self, octets: bytes, share: Share) -> None:
        """Write anew what a recipe that is still there would look for in vain: it may have outlived its pieces."""
        for part in split(octets):
            if isinstance(part, Part):
                self._add_piece(part, share)

    def _add_piece(self, part: Part, share: Share) -> BlobId:
        blob = self._ring.blob_id(b"piece", part.content)
        if self._claim(blob):
            self._packer.add(StoredBlob(blob, PLAIN + part.content, share, None))
        return blob

    def add_meta(self, content: bytes) -> BlobId:
        """Keep a page, node or tree."""
        blob = self._ring.blob_id(b"meta", content)
        with self._gate.shared():
            if self._claim(blob):
                with self._lock:
                    self._meta[blob] = PLAIN + content
                    self._meta_octets += len(content)
        if self._meta_octets >= _META_OBJECT:
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

    def flush(self) -> None:
        """Make all that was added durable: packs, meta objects, then an index that names them."""
        with self._gate.exclusive():
            entries = self._packer.flush()
            uses = encode_uses([entry.id for entry in entries], self._uses) if entries else b""
            if self._meta or uses:
                data, directory = meta_object(self._vault.ring, self._meta, uses)
                packs = [entry.id for entry in entries]
                entries.append(pack_entry(data, directory))
                self._store.put(entries[-1].name, data)
                kept = ((b.offset, data[b.offset : b.offset + b.stored]) for b in directory.blocks if b.blobs)
                self._vault.index.keep_blocks(entries[-1].name, kept)
                if uses:
                    self._vault.index.learn_uses(entries[-1].name, packs, self._uses)
            if entries:
                name = ObjectName(f"index/{new_name(self._clock.now())}")
                self._store.put(name, seal_index(self._ring, name, entries))
                self._vault.index.add(name, entries)
            self._based_on |= self._vault.index.objects()
            with self._lock:
                self._meta, self._meta_octets, self._uses = {}, 0, {}
                self._pending.clear()

    def write_snapshot(self, draft: SnapshotDraft) -> Snapshot:
        """Write one account's snapshot, as `write_snapshots` does."""
        return self.write_snapshots([draft])[0]

    def write_snapshots(self, drafts: Sequence[SnapshotDraft]) -> list[Snapshot]:
        """Write snapshots of accounts. Everything they name must have been flushed before. Raises Overtaken."""
        if not drafts:
            return []
        # The time of the look, so that a snapshot that came long after it can be told (Standing.late).
        moment = self._clock.now()
        self._look([])

        def write(draft: SnapshotDraft) -> Snapshot:
            return self._write_snapshot(draft, moment)

        # Of one account, each must name the one before.
        apart = len({draft.account for draft in drafts}) == len(drafts)
        made = together(write, drafts) if apart else [write(draft) for draft in drafts]
        self._look([snapshot_name(one.account_id, one.id) for one in made])
        return made

    def _look(self, written: Sequence[ObjectName]) -> None:
        """See whether maintenance has left alone what the run relies on, before snapshots or once they are `written`.

        Tombstones first: what they no longer tell, because all of it is gone, the index no longer names either.
        """
        stones = [info for info in self._store.list("tombstones/") if info.name not in self._known_stones]
        vanished = self._based_on - {info.name for info in self._store.list("index/")}
        if vanished or (stones and not self._young(stones, written or [self._write_nothing()])):
            raise Overtaken(committed=bool(written))

    def _young(self, stones: Sequence[ObjectInfo], written: Sequence[ObjectName]) -> bool:
        """Say whether tombstones were young when the last of these was written: after we saw them, or snapshots."""
        try:
            now = max(self._store.stat(name).modified for name in written)
        except ObjectMissing:
            return False  # it came and went
        return all(now - stone.modified <= GRACE / 2 for stone in stones)

    def _write_nothing(self) -> ObjectName:
        """Write an index object that names nothing, for the store to say what time it is."""
        name = ObjectName(f"index/{new_name(self._clock.now())}")
        self._store.put(name, seal_index(self._ring, name, []))
        return name

    def _write_snapshot(self, draft: SnapshotDraft, moment: datetime) -> Snapshot:
        account = self._ring.account_id(draft.account)
        before = self._vault.newest(account)
        snapshot = Snapshot(
            id=SnapshotId(new_name(moment)),
            account=draft.account, account_id=account, time=rfc3339(moment), status=draft.status, tree=draft.tree,
            mailboxes=draft.mailboxes, messages=draft.messages, octets=draft.octets,
            sequence=before.snapshot.sequence + 1 if before else 1, previous=before.link if before else "",
            failures=draft.failures, alarms=draft.alarms, tool=self._tool,
        )  # fmt: skip
        name = snapshot_name(account, snapshot.id)
        data = seal_record(self._ring, "S", name, snapshot)
        self._store.put(name, data)
        self._vault.remember_snapshot(name, snapshot, chain_link(data))
        return snapshot

    def write_run(
        self,
        started: datetime,
        accounts: Sequence[tuple[str, SnapshotId | None, str]],
        *,
        downloaded: Mapping[str, int] | None = None,
        reasons: Mapping[str, str] | None = None,
        job: str = "",
        status: str = "",
    ) -> None:
        """Write the record of what the job looked at; `reasons` tells what ended an account's run."""
        record = RunRecord(
            started=rfc3339(started), finished=rfc3339(self._clock.now()),
            accounts=tuple(
                Confirmed(self._ring.account_id(name), shot, how, (downloaded or {}).get(name, 0))
                for name, shot, how in accounts
            ),
            tool=self._tool, job=job, kind="backup", status=status,
            reasons={self._ring.account_id(name): why for name, why in (reasons or {}).items()},
        )  # fmt: skip
        write_run(self._store, self._ring, record)

    def close(self) -> None:
        """Stop the threads; what was not flushed is lost, which harms nothing."""
        self._packer.close()


def _vanished(vault: Vault) -> frozenset[ObjectName]:
    """Compare the index with a listing: what it promises must be there, or new mail would be filed under nothing."""
    found = together(lambda prefix: list(vault.store.list(prefix)), ("packs/", "meta/"))
    listed = {info.name: info.size for infos in found for info in infos}
    return frozenset(name for name, size in vault.index.packs() if listed.get(name) != size)


def meta_object(ring: KeyRing, blobs: dict[BlobId, bytes], uses: bytes = b"") -> tuple[bytes, Directory]:
    """Return a meta object that holds these stored forms in solid blocks, a block of uses, and its directory."""
    header = new_header("M")
    key = meta_block_key(ring.vault_id, ring.meta_key, header.salt)
    body: list[bytes] = []
    blocks: list[Block] = []
    offset = len(header.encode())
    groups = ((group, b"".join(stored for _, stored in group)) for group in _solid(blobs) if group)
    for counter, (group, plain) in enumerate(chain(groups, [([], uses)] if uses else [])):
        sealed = key.seal(counter, plain, _META_LEVEL)
        if key.open(counter, sealed, "a new meta object") != plain:
            raise Damage("a block just built does not hold what was put in", object_name="a new meta object")
        sizes = tuple((blob, len(stored)) for blob, stored in group)
        blocks.append(Block(key.session, counter, offset, len(sealed), len(plain), sizes))
        body.append(sealed)
        offset += len(sealed)
    directory = Directory("M", tuple(blocks))
    return finish_pack(ring.vault_id, ring.meta_key, header, directory, body), directory


def _solid(blobs: dict[BlobId, bytes]) -> list[list[tuple[BlobId, bytes]]]:
    groups: list[list[tuple[BlobId, bytes]]] = [[]]
    size = 0
    for blob, stored in blobs.items():
        if size >= _META_BLOCK:
            groups.append([])
            size = 0
        groups[-1].append((blob, stored))
        size += len(stored)
    return groups
