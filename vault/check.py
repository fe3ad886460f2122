"""Checking a vault: that all is there, holds together and, if every byte is read, is what was written.

It shares no code with the writer, reads snapshots before indexes, trusts no cache, and goes on after each damage found.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import msgspec

from vault.blobs import BlobReader
from vault.check_packs import PackChecker
from vault.clock import Progress, Quiet
from vault.errors import Damage, ObjectMissing
from vault.ids import BlobId, ObjectName
from vault.index import Index, Location, open_index, read_index_object
from vault.keyring import doubts, read_slot
from vault.model import Mailbox, MessageRow, Snapshot, Tree
from vault.records import chain_link, open_run, open_snapshot
from vault.table import flag_table, message_table
from vault.vault import Vault

ResultT = TypeVar("ResultT")


class Affected(NamedTuple):
    """Mail that a damage touches; `uid` is None for all of a mailbox, `mailbox` empty for all of a snapshot.

    Where all snapshots of an account are damaged, nothing tells its name, and `account` is its id.
    """

    account: str
    mailbox: str
    uid: int | None


@dataclass(frozen=True, slots=True)
class DamageFound:
    """One object that is not what was written, and the mail it touches."""

    object: str
    reason: str
    affects: tuple[Affected, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check saw. `notes` are worth knowing but no damage."""

    packs: int
    blobs: int
    octets_read: int
    damage: tuple[DamageFound, ...]
    notes: tuple[str, ...] = ()


def check_vault(vault: Vault, *, read: bool, sample: float = 1.0, progress: Progress | None = None) -> CheckReport:
    """Check a vault; with `read`, every byte of a `sample` of its packs. Raises StoreError, never Damage."""
    check = _Check(vault, progress or Quiet())
    check.keys()
    snapshots = check.snapshots()
    check.runs(snapshots)
    check.lost_snapshots(snapshots)
    check.index()
    check.objects()
    if read:
        check.contents(sample)
    for snapshot in snapshots:
        check.tree(snapshot)
    return check.report()


class _Noted(Exception):
    """A page can't be read, and that has been noted."""


@dataclass
class _Check:
    vault: Vault
    progress: Progress
    reasons: dict[str, str] = field(default_factory=dict)
    affected: defaultdict[str, dict[Affected, None]] = field(default_factory=lambda: defaultdict(dict))
    notes: list[str] = field(default_factory=list)
    listed: dict[ObjectName, int] = field(default_factory=dict)
    bad_copies: dict[tuple[ObjectName, BlobId], str] = field(default_factory=dict)
    seen: set[tuple[str, BlobId]] = field(default_factory=set)
    octets_read: int = 0
    blobs: int = 0

    def __post_init__(self) -> None:
        self.fresh: Index = open_index(None)
        self.reader = BlobReader(self.vault.store, self.vault.ring, self.fresh)

    def damaged(self, name: str, reason: str) -> None:
        """Note a damage; the first reason found for an object is kept."""
        self.reasons.setdefault(name, reason)

    def attempt(self, name: ObjectName, work: Callable[[], ResultT]) -> ResultT | None:
        """Do something with one object; note the damage where that fails."""
        try:
            return work()
        except ObjectMissing:
            self.damaged(name, "it is missing")
        except Damage as damage:
            self.damaged(damage.object_name, damage.message)
        return None

    def keys(self) -> None:
        """Slots and vault files: readable, and what a holder of the meta key wrote."""
        ring, store = self.vault.ring, self.vault.store
        for name, reason in doubts(store, ring).items():
            self.damaged(name, reason)
        for info in store.list("keys/"):
            slot = read_slot(info.name, store.get(info.name))
            if slot is None or ring.authenticate(slot.check_text()) != slot.mac:
                self.damaged(info.name, "the slot was altered; what it held can't be trusted")

    def snapshots(self) -> list[Snapshot]:
        """Open every snapshot, look at each account's chain, and return those that can be read."""
        found: dict[str, list[tuple[Snapshot, str]]] = defaultdict(list)
        for info in self.vault.store.list("snapshots/"):
            data = self.vault.store.get(info.name)
            snapshot = self.attempt(info.name, lambda: open_snapshot(self.vault.ring, info.name, data))  # noqa: B023
            if snapshot:
                found[snapshot.account_id].append((snapshot, chain_link(data)))
        for account, chain in found.items():
            chain.sort(key=lambda pair: pair[0].sequence)
            self._chain(account, chain)
        return [snapshot for chain in found.values() for snapshot, _ in chain]

    def lost_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """Say whose they are: the account's name where another snapshot of it tells that, else its id."""
        accounts: dict[str, str] = {s.account_id: s.account for s in snapshots}
        for name in self.reasons:
            kind, _, rest = name.partition("/")
            if kind == "snapshots":
                account = rest.partition("/")[0]
                self.affected[name][Affected(accounts.get(account, account), "", None)] = None

    def _chain(self, account: str, chain: Sequence[tuple[Snapshot, str]]) -> None:
        links = {link for _, link in chain} | {""}
        last = 0
        for snapshot, _ in chain:
            if snapshot.previous not in links and not any(n.startswith(f"snapshots/{account}/") for n in self.reasons):
                name = f"snapshots/{account}/"
                self.damaged(name, f"the snapshot before {snapshot.id} (number {last + 1}) is missing")
                self.affected[name][Affected(snapshot.account, "", None)] = None
            last = snapshot.sequence

    def runs(self, snapshots: Sequence[Snapshot]) -> None:
        """Open every run record; what it confirms must be there."""
        known = {snapshot.id for snapshot in snapshots}
        for info in self.vault.store.list("runs/"):
            data = self.vault.store.get(info.name)
            run = self.attempt(info.name, lambda: open_run(self.vault.ring, info.name, data))  # noqa: B023
            for confirmed in run.accounts if run else ():
                name = f"snapshots/{confirmed.account}/{confirmed.snapshot}"
                if confirmed.snapshot and confirmed.snapshot not in known:
                    self.damaged(name, f"it is missing, though {info.name} names it")

    def index(self) -> None:
        """Read every index object into an index of our own."""
        for info in self.vault.store.list("index/"):
            entries = self.attempt(
                info.name,
                lambda: read_index_object(self.vault.store, self.vault.ring, info.name),  # noqa: B023
            )
            if entries is not None:
                self.fresh.add(info.name, entries)
                self.blobs += sum(len(b.blobs) for e in entries for b in e.directory.blocks)

    def objects(self) -> None:
        """Compare packs and meta objects listed with those that the index names."""
        for prefix in ("packs/", "meta/"):
            self.listed.update((info.name, info.size) for info in self.vault.store.list(prefix))
        named = dict(self.fresh.packs())
        for name, size in named.items():
            if name not in self.listed:
                self.damaged(name, "it is missing")
            elif self.listed[name] != size:
                self.damaged(name, f"it has {self.listed[name]} octets instead of {size}")
        strays = self.listed.keys() - named.keys()
        if strays:
            self.notes.append(
                f"{len(strays)} packs are named by no index: an interrupted run left them, or an index is lost"
                " (`restante index rebuild` brings it back)"
            )

    def contents(self, sample: float) -> None:
        """Read packs and meta objects to the last byte."""
        names = sorted(self.listed)
        if sample < 1:
            names = random.sample(names, max(1, round(len(names) * sample))) if names else []
        checker = PackChecker(self.vault, self.fresh)
        self.progress.expect("", len(names), sum(self.listed[name] for name in names))
        for name in names:
            for object_name, reason, blob in checker.check(name):
                self.damaged(object_name, reason)
                if blob is not None:
                    self.bad_copies[name, blob] = object_name
            self.octets_read += self.listed[name]
            self.progress.advance("", 1, self.listed[name])
        if checker.unopened:
            what = "is older than" if self.vault.can_read_mail else "can't read mail:"
            self.notes.append(
                f"this key {what} {len(checker.unopened)} packs, which were compared with their SHA-256, not decrypted"
            )

    def tree(self, snapshot: Snapshot) -> None:
        """Follow a snapshot down to every message it names."""
        everything = Affected(snapshot.account, "", None)
        data = self._meta(BlobId(snapshot.tree), everything)
        if data is None:
            return
        try:
            tree = msgspec.json.decode(data, type=Tree)
        except msgspec.DecodeError:
            self.damaged(f"snapshot {snapshot.id}", "its tree can't be read")
            return
        for mailbox in tree.mailboxes:
            self._mailbox(snapshot.account, mailbox)

    def _mailbox(self, account: str, mailbox: Mailbox) -> None:
        whole = Affected(account, mailbox.name, None)

        def read(blob: BlobId) -> bytes:
            data = self._meta(blob, whole)
            if data is None:
                raise _Noted
            return data

        for table in (message_table, flag_table):
            root = mailbox.rows if table is message_table else mailbox.flags
            with suppress(_Noted):
                for page, load in table(read, root).pages():
                    self._page(account, mailbox.name, page, load)

    def _page(self, account: str, mailbox: str, page: BlobId, load: Callable[[], Sequence[tuple[object, ...]]]) -> None:
        if (account, page) in self.seen:
            return
        self.seen.add((account, page))
        with suppress(_Noted):
            for row in load():
                trouble = self._trouble(row.blob) if isinstance(row, MessageRow) else None
                if trouble and isinstance(row, MessageRow):
                    self.affected[trouble][Affected(account, mailbox, row.uid)] = None

    def _trouble(self, blob: BlobId) -> str | None:
        """Return the damaged object that keeps a message from being read, or None while one sound copy is left."""
        places = self.fresh.locate(blob)
        if not places:
            name = "index/"
            self.damaged(name, "no index names all that the snapshots need; run `restante index rebuild`")
            return name
        troubles = [self._copy_trouble(place, blob) for place in places]
        return troubles[0] if all(troubles) else None

    def _copy_trouble(self, place: Location, blob: BlobId) -> str | None:
        name = place.object_name
        if (name, blob) in self.bad_copies:
            return self.bad_copies[name, blob]
        short = self.listed.get(name, 0) < place.offset + place.stored
        return name if short else None

    def _meta(self, blob: BlobId, affected: Affected) -> bytes | None:
        try:
            return self.reader.read(blob, b"meta")
        except Damage as damage:
            name = damage.object_name if "/" in damage.object_name else "index/"
            self.damaged(name, damage.message)
        self.affected[name][affected] = None
        return None

    def report(self) -> CheckReport:
        """Put everything together."""
        damage = tuple(
            DamageFound(name, reason, tuple(self.affected.get(name, {})))
            for name, reason in sorted(self.reasons.items())
        )
        self.fresh.close()
        return CheckReport(len(self.listed), self.blobs, self.octets_read, damage, tuple(self.notes))
