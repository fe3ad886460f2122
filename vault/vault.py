"""A vault, read: snapshots, trees, rows, messages. Nothing here can write to the store."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, time
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import msgspec

from vault.blobs import BlobReader, Wanted
from vault.catalogue import decode_catalogue
from vault.columns import ColumnError
from vault.decoding import decode
from vault.errors import Damage, ObjectMissing, SnapshotMissing
from vault.ids import SNAPSHOT_ID, AccountId, BlobId, ObjectName, SnapshotId
from vault.index import Index, open_index
from vault.keyring import unlock, unlock_to_look
from vault.keys import KeyRing
from vault.model import CatalogueEntry, Flags, Mailbox, MessageRow, Snapshot, Tree
from vault.records import RunRecord, chain_link, open_run, open_snapshot
from vault.slots import Secret
from vault.stores.base import ReadStore
from vault.stores.spans import in_spans
from vault.table import flag_table, message_table
from vault.tombstones import GRACE

_REFRESHES_IN_VAIN = 20


def open_vault(store: ReadStore, secret: Secret, *, cache: Path | None = None) -> Vault:
    """Open a vault; `cache` is a folder for a disposable copy of the index. Raises WrongSecret, VaultError."""
    return open_with(store, unlock(store, secret), cache)


def open_to_look(store: ReadStore, secret: Secret, *, cache: Path | None = None) -> Vault:
    """Open a vault for someone who only looks into it: with fewer requests, and what the cache keeps is not read again.

    Not for who writes, or must know what the store still holds. Raises WrongSecret, VaultError.
    """
    return open_with(store, unlock_to_look(store, secret), cache, keep=True)


def open_with(store: ReadStore, ring: KeyRing, cache: Path | None, *, keep: bool = False) -> Vault:
    """Open a vault whose keys are at hand."""
    path = cache / f"{ring.vault_id.hex()}.sqlite" if cache else None
    return Vault(store, ring, open_index(path), cache, keep=keep)


class Standing(NamedTuple):
    """A snapshot, what the next one of its account must say of it, and when the store got it."""

    snapshot: Snapshot
    link: str
    written: datetime

    @property
    def late(self) -> bool:
        """Whether it came so long after its time that a prune may have overtaken it, and nobody noticed."""
        return abs(self.written - datetime.fromisoformat(self.snapshot.time)) > GRACE / 4


class Vault:
    """All that one organisation keeps at one place, opened with its keys."""

    def __init__(
        self, store: ReadStore, ring: KeyRing, index: Index, cache: Path | None = None, *, keep: bool = False
    ) -> None:
        self.store = store
        self.ring = ring
        self.index = index
        self.cache = cache
        self.blobs = BlobReader(store, ring, index, keep=keep)
        self.in_bulk = in_spans(store, index.size_of, cache)
        """The store as it is best read where most of it will be wanted."""
        self._in_bulk = BlobReader(self.in_bulk, ring, index, keep=keep)
        self.unreadable: dict[ObjectName, Damage] = {}
        self._refreshes = 0
        self._in_vain = 0
        self._refreshing = threading.RLock()
        self._naming = threading.Lock()
        self._named: dict[AccountId, SnapshotId | None] = {}
        self._older_runs: Iterator[RunRecord] | None = None

    @property
    def vault_id(self) -> str:
        """The vault's id, 32 hex digits."""
        return self.ring.vault_id.hex()

    @property
    def can_read_mail(self) -> bool:
        """Whether the key at hand opens content, not only structure."""
        return bool(self.ring.private)

    def refresh(self) -> list[Damage]:
        """Bring the index up to date; return the index objects that can't be read."""
        with self._refreshing:
            # Counted as it begins: what is published meanwhile it may have overlooked.
            self._refreshes += 1
            with self._naming:
                self._named, self._older_runs = {}, None
            damage = self.index.refresh(self.store, self.ring)
            self.unreadable.update((ObjectName(d.object_name), d) for d in damage)
            return damage

    def accounts(self) -> list[str]:
        """Return the names of all accounts that have a snapshot."""
        return sorted({snapshot.account for snapshot in self.snapshots()})

    def snapshots(self, account: str | None = None) -> list[Snapshot]:
        """Return the snapshots of one account, or of all, oldest first; what can't be read is in `unreadable`."""
        prefix = f"snapshots/{self.ring.account_id(account)}/" if account is not None else "snapshots/"
        return sorted((found.snapshot for found in self._readable(prefix)), key=lambda s: (s.time, s.sequence))

    def _readable(self, prefix: str) -> Iterator[Standing]:
        """One damaged snapshot must not hide the others."""
        for info in self.store.list(prefix):
            try:
                yield Standing(*self.snapshot(info.name), info.modified)
            except Damage as damage:
                self.unreadable[info.name] = damage
            except ObjectMissing:
                continue  # maintenance was faster

    def snapshot(self, name: ObjectName) -> tuple[Snapshot, str]:
        """Return the snapshot of that name, and what the next one of its account must say of it. Raises Damage."""
        body = self.index.record(name)
        if body is None:
            data = self.store.get(name)
            snapshot = open_snapshot(self.ring, name, data)
            self.remember_snapshot(name, snapshot, chain_link(data))
            return snapshot, chain_link(data)
        return decode(body[64:], Snapshot), body[:64].decode()

    def remember_snapshot(self, name: ObjectName, snapshot: Snapshot, link: str) -> None:
        """Keep a snapshot in the cache, with what the next one of its account must say of it."""
        self.index.remember(name, link.encode() + msgspec.json.encode(snapshot))

    def newest(self, account: AccountId) -> Standing | None:
        """Return an account's newest snapshot of any status; None where it has none."""
        found = self._readable(f"snapshots/{account}/")
        return max(found, key=lambda one: (one.snapshot.sequence, one.snapshot.time), default=None)

    def find(self, account: str, when: str = "latest") -> Snapshot:
        """Return the snapshot that an administrator means by `latest`, an ISO date or time, or a snapshot id.

        That is the newest complete one not after the moment (a bare date means the end of that day, UTC). `latest`
        falls back to the newest partial one. Raises SnapshotMissing.
        """
        snapshots = self.snapshots(account)
        if not snapshots:
            known = len(self.accounts())
            hint = f"`restante snapshots` lists the {known} accounts there are" if known else "nothing is backed up yet"
            raise SnapshotMissing(f"vault {self.store.url} holds no snapshot of {account}", hint=hint)
        complete = [s for s in snapshots if s.status == "complete"]
        if when == "latest":
            return (complete or snapshots)[-1]
        for snapshot in snapshots:
            if snapshot.id == when:
                return snapshot
        if SNAPSHOT_ID.fullmatch(when):
            hint = "`restante snapshots` lists all; it may have been pruned"
            raise SnapshotMissing(f"{account} has no snapshot {when}", hint=hint)
        limit = _moment(when)
        for snapshot in reversed(complete):
            if datetime.fromisoformat(snapshot.time) <= limit:
                return snapshot
        oldest = f"the oldest complete one is {complete[0].id}" if complete else "there is no complete one"
        hint = f"{oldest}; `restante snapshots` lists all"
        raise SnapshotMissing(f"no complete snapshot of {account} is as old as {when}", hint=hint)

    def tree(self, snapshot: Snapshot) -> Tree:
        """Return a snapshot's mailboxes. Raises Damage."""
        data = self.read_meta(BlobId(snapshot.tree))
        try:
            return decode(data, Tree)
        except msgspec.DecodeError:
            raise Damage(f"the tree of snapshot {snapshot.id} can't be read", object_name=snapshot.id) from None

    def rows(self, mailbox: Mailbox) -> Iterator[MessageRow]:
        """Yield what never changes about a mailbox's messages, ascending by UID. Raises Damage."""
        with _pages(mailbox):
            yield from message_table(self.read_meta, mailbox.rows).rows()

    def flags(self, mailbox: Mailbox) -> Iterator[tuple[int, Flags]]:
        """Yield the flags of a mailbox's messages, ascending by UID. Raises Damage."""
        with _pages(mailbox):
            yield from flag_table(self.read_meta, mailbox.flags).rows()

    def read_meta(self, blob: BlobId) -> bytes:
        """Return a page, node or tree. Raises Damage."""
        return self._read(self.blobs, blob, b"meta")

    def read_meta_in_bulk(self, blob: BlobId) -> bytes:
        """Return the same for someone who will want most of what lies around it. Raises Damage."""
        return self._read(self._in_bulk, blob, b"meta")

    def read_message(self, blob: BlobId) -> bytes:
        """Return one message's exact octets, verified. Raises Damage, ContentKeyMissing."""
        return self._read(self.blobs, blob, b"message")

    def _read(self, reader: BlobReader, blob: BlobId, kind: bytes) -> bytes:
        """Read a blob; where it is not to be found, look whether a backup or a prune has changed the index since."""
        known = self._refreshes
        try:
            return reader.read(blob, kind)
        except Damage:
            if not self._look_anew(known):
                raise
        try:
            return reader.read(blob, kind)
        except Damage:
            self._in_vain += 1
            raise

    def _look_anew(self, known: int) -> bool:
        """Refresh the index, unless another thread has begun to since `known`; return whether to read once more.

        Damage all over is no reason to do so without end. An index that someone else is just filling tells of an
        object before it tells of that object's blobs: so only one thread fills ours, and the others wait for it.
        """
        with self._refreshing:
            if self._refreshes == known:
                if self._in_vain >= _REFRESHES_IN_VAIN:
                    return False
                self.refresh()
            return True

    def read_messages(self, wanted: Iterable[Wanted]) -> Iterator[tuple[BlobId, bytes | Damage]]:
        """Yield the octets of each message in the given order, or the damage found, reading ahead in threads."""
        self._ensure_index()
        for blob, found in self._in_bulk.read_ahead(wanted, b"message"):
            yield blob, self._again(blob) if isinstance(found, Damage) else found

    def _again(self, blob: BlobId) -> bytes | Damage:
        try:
            return self.read_message(blob)
        except Damage as damage:
            return damage

    def catalogue(self, blobs: Collection[BlobId]) -> dict[BlobId, CatalogueEntry]:
        """Return what catalogues say of these messages; one whose catalogue is damaged is missing from the answer."""
        self._ensure_index()
        found: dict[BlobId, CatalogueEntry] = {}
        wanted = set(blobs)
        for place in self.index.catalogues(wanted):
            try:
                entries = decode_catalogue(self.blobs.block(place))
            except (Damage, ColumnError):
                continue  # browsing goes on without it; `check --read` names it
            found.update((entry.blob, entry) for entry in entries if entry.blob in wanted)
        return found

    def runs(self) -> Iterator[RunRecord]:
        """Yield run records, newest first; what can't be read is in `unreadable`."""
        names = sorted((info.name for info in self.store.list("runs/")), reverse=True)
        for _, of_one_second in groupby(names, key=lambda name: name.rpartition("-")[0]):
            yield from sorted(self._runs(of_one_second), key=lambda run: run.written, reverse=True)

    def _runs(self, names: Iterable[ObjectName]) -> Iterator[RunRecord]:
        for name in names:
            try:
                yield self._run(name)
            except Damage as damage:
                self.unreadable[name] = damage
            except ObjectMissing:
                continue  # maintenance was faster

    def _run(self, name: ObjectName) -> RunRecord:
        body = self.index.record(name)
        if body is not None:
            return decode(body, RunRecord)
        run = open_run(self.ring, name, self.store.get(name))
        self.index.remember(name, msgspec.json.encode(run))
        return run

    def last_named(self, account: AccountId) -> SnapshotId | None:
        """Return the snapshot that stood for an account after the last run that read it to its end, or None.

        Records are read once for all accounts, and no more of them than needed, until the next `refresh`.
        """
        with self._naming:
            self._older_runs = self._older_runs or self.runs()
            while account not in self._named and (run := next(self._older_runs, None)):
                for one in run.accounts:
                    if one.status in ("complete", "partial"):
                        self._named.setdefault(one.account, one.snapshot)
            return self._named.get(account)

    def confirmed(self) -> dict[SnapshotId, str]:
        """Return for each snapshot that a later run found still standing the time it was last confirmed."""
        times: dict[SnapshotId, str] = {}
        for run in self.runs():
            for account in run.accounts:
                if account.snapshot and account.status == "complete":
                    times.setdefault(account.snapshot, run.finished)
        return times

    def close(self) -> None:
        """Let go of the cache."""
        self.index.close()

    def _ensure_index(self) -> None:
        with self._refreshing:
            if not self._refreshes:
                self.refresh()


@contextmanager
def _pages(mailbox: Mailbox) -> Iterator[None]:
    try:
        yield
    except ColumnError as error:
        name = f"mailbox {mailbox.name}"
        raise Damage(f"{name}: {error}", object_name=name) from None


def _moment(when: str) -> datetime:
    with suppress(ValueError):
        return datetime.combine(date.fromisoformat(when), time.max, UTC)
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        hint = "use `latest`, a date like 2026-11-23, a time like 2026-11-23T10:00Z, or a snapshot id"
        raise SnapshotMissing(f'"{when}" is neither a time nor a snapshot id', hint=hint) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
