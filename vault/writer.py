"""Publishing what a vault was filled with (vault/filler.py), in the order that makes a crash harmless.

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
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from typing import Protocol

import msgspec

from vault.clock import Clock
from vault.errors import ObjectMissing, Overtaken
from vault.filler import Filler, Settled
from vault.ids import BlobId, ObjectName, SnapshotId
from vault.index import seal_index
from vault.keyring import refuse_doubtful
from vault.meta import meta_object
from vault.model import Failure, Snapshot, Status
from vault.pack import Directory, PackEntry, SealedBlock, pack_entry, pack_of
from vault.packer import PackLimits
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
from vault.stores.base import ObjectInfo, WriteStore
from vault.together import together
from vault.tombstones import GRACE, read_graveyard
from vault.uses import encode_uses
from vault.vault import Vault


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


class Beside(Protocol):
    """What fills the vault for the same run elsewhere, like a Filler."""

    packs_waiting: int

    def settled(self) -> AbstractContextManager[Settled]:
        """Make all that was added there durable or hand it over, and add nothing more until an index names it.

        Where none does, because the block raises, what was settled is lost to this run, which must end.
        """


class VaultWriter(Filler):
    """One writer a job: publishes what it was given itself, and what others `beside` it fill the vault with.

    A flush that fails is fatal: every later one raises the same error, and no snapshot is written. What it had settled
    is named nowhere, while all that came after it goes on as if it were.
    """

    def __init__(
        self, vault: Vault, store: WriteStore, *, clock: Clock, tool: str = "", limits: PackLimits | None = None
    ) -> None:
        with ThreadPoolExecutor(1) as aside:
            reading = aside.submit(read_graveyard, store, vault.ring)
            refuse_doubtful(store, vault.ring)
            graves = reading.result()
        vault.refresh()
        vanished = _vanished(vault) - graves.condemned.keys()
        super().__init__(vault, store, limits or PackLimits(), vanished=vanished, condemned=graves.condemned.keys())
        self.condemned = graves.condemned.keys()
        """Packs and meta objects that a prune has condemned."""
        self.beside: list[Beside] = []
        """Who else fills the vault: what they have made durable, or hand over, is published with what we have."""
        self._clock = clock
        self._tool = tool
        self._flushing = threading.Lock()
        self._failure: BaseException | None = None
        self._known_stones = graves.names
        self._based_on = vault.index.objects()

    def rely_on(self, objects: Collection[ObjectName]) -> None:
        """Note which index objects those beside know: they must still be there when snapshots are written."""
        self._based_on |= set(objects)

    @property
    def packs_waiting(self) -> int:
        """How many packs are sent that no index names yet, by those beside too."""
        return self._packer.packs_done + sum(one.packs_waiting for one in self.beside)

    def flush(self) -> None:
        """Make all that was added durable here and by `beside`, and have one index name it."""
        with self._flushing:
            if self._failure is not None:
                raise self._failure
            try:
                self._settle_and_publish()
            except BaseException as failure:
                self._failure = failure
                raise

    def _settle_and_publish(self) -> None:
        with ExitStack() as held:
            fillers: list[Filler | Beside] = [self, *self.beside]
            entries = self._put_all(together(lambda one: held.enter_context(one.settled()), fillers))
            if entries:
                name = ObjectName(f"index/{new_name(self._clock.now())}")
                self._store.put(name, seal_index(self._ring, name, entries))
                self._vault.index.add(name, entries)
            self._based_on |= self._vault.index.objects()

    def _put_all(self, settled: Sequence[Settled]) -> list[PackEntry]:
        """Put what all have left over into as few objects as if one had; return these and the packs already there."""
        packs = [pack for one in settled for pack in one.packs]
        packs += [self._put(*pack_of(self._ring, blocks)) for blocks in _in_company(settled, self._limits.pack)]
        meta = {blob: stored for one in settled for blob, stored in one.meta.items()}
        ids = [pack.id for pack in packs]
        uses = {message: pieces for one in settled for message, pieces in one.uses.items()}
        told = encode_uses(ids, uses) if packs else b""
        if not (meta or told):
            return packs
        data, directory = meta_object(self._ring, meta, told)
        entry = self._put(data, directory)
        kept = ((b.offset, data[b.offset : b.offset + b.stored]) for b in directory.blocks if b.blobs)
        self._vault.index.keep_blocks(entry.name, kept)
        if told:
            self._vault.index.learn_uses(entry.name, ids, uses)
        return [*packs, entry]

    def _put(self, data: bytes, directory: Directory) -> PackEntry:
        entry = pack_entry(data, directory)
        self._store.put(entry.name, data)
        return entry

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


def _in_company(settled: Iterable[Settled], pack: int) -> Iterator[list[SealedBlock]]:
    """Put rests together that make a pack, or somewhat more.

    Each stays whole, since its last block is the catalogue of the others.
    """
    group: list[SealedBlock] = []
    for one in settled:
        group += one.rest
        if sum(len(sealed.octets) for sealed in group) >= pack:
            yield group
            group = []
    if group:
        yield group


def _vanished(vault: Vault) -> frozenset[ObjectName]:
    """Compare the index with a listing: what it promises must be there, or new mail would be filed under nothing."""
    found = together(lambda prefix: list(vault.store.list(prefix)), ("packs/", "meta/"))
    listed = {info.name: info.size for infos in found for info in infos}
    return frozenset(name for name, size in vault.index.packs() if listed.get(name) != size)
