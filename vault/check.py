"""Checking a vault: that all is there, holds together and, if every byte is read, is what was written.

It shares no code with the writer, reads snapshots before indexes, trusts no cache, and goes on after each damage found.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from vault.blobs import BlobReader
from vault.census import Seen, find_gaps
from vault.check_packs import PackChecker
from vault.check_report import Affected, CheckReport, DamageFound, Findings
from vault.check_trees import TreeChecker
from vault.clock import Progress, Quiet
from vault.errors import Damage, ObjectMissing
from vault.ids import BlobId, ObjectName
from vault.index import Index, open_index, read_index_object
from vault.keyring import doubts, read_slot
from vault.records import RunRecord, chain_link, open_run, open_snapshot, snapshot_name
from vault.tombstones import Graveyard, read_graveyard, read_holds
from vault.vault import Vault

__all__ = ["Affected", "CheckReport", "DamageFound", "check_vault"]

ResultT = TypeVar("ResultT")


def check_vault(vault: Vault, *, read: bool, sample: float = 1.0, progress: Progress | None = None) -> CheckReport:
    """Check a vault; with `read`, every byte of a `sample` of its packs. Raises StoreError, never Damage."""
    check = _Check(vault, progress or Quiet())
    check.keys()
    # Backwards against the order of writing, so that a backup under way looks like no damage.
    runs = check.runs()
    snapshots = check.snapshots()
    check.tombstones()
    check.lost(snapshots, runs)
    check.index()
    check.objects()
    if read:
        check.contents(sample)
    check.trees(snapshots)
    return check.report()


@dataclass
class _Check:
    vault: Vault
    progress: Progress
    findings: Findings = field(default_factory=Findings)
    notes: list[str] = field(default_factory=list)
    listed: dict[ObjectName, int] = field(default_factory=dict)
    graves: Graveyard = field(default_factory=Graveyard)
    bad_copies: dict[tuple[ObjectName, BlobId], str] = field(default_factory=dict)
    octets_read: int = 0
    blobs: int = 0

    def __post_init__(self) -> None:
        self.fresh: Index = open_index(None)
        self.reader = BlobReader(self.vault.store, self.vault.ring, self.fresh)

    def attempt(self, name: ObjectName, work: Callable[[], ResultT]) -> ResultT | None:
        """Do something with one object; note the damage where that fails, but not that a prune was faster."""
        try:
            return work()
        except ObjectMissing:
            if any(info.name == name for info in self.vault.store.list(name)):
                self.findings.damaged(name, "it is missing")
        except Damage as damage:
            self.findings.damaged(damage.object_name, damage.message)
        return None

    def keys(self) -> None:
        """Slots and vault files: readable, and what a holder of the meta key wrote."""
        ring, store = self.vault.ring, self.vault.store
        for name, reason in doubts(store, ring).items():
            self.findings.damaged(name, reason)
        sound = 0
        for info in store.list("keys/"):
            slot = read_slot(info.name, store.get(info.name))
            if slot is None or ring.authenticate(slot.check_text()) != slot.mac:
                self.findings.damaged(info.name, "the slot was altered; what it held can't be trusted")
            else:
                sound += 1
        if not sound:
            # The schedule's key file would go on without; whoever comes with the passphrase could not.
            reason = "no sound key slot is left, so that neither passphrase nor recovery key opens the vault"
            self.findings.damaged("keys/", reason)

    def snapshots(self) -> list[Seen]:
        """Open every snapshot and return those that can be read."""
        found = []
        for name, data in self._small("snapshots/"):
            snapshot = self.attempt(name, partial(open_snapshot, self.vault.ring, name, data))
            if snapshot:
                found.append(Seen(snapshot, chain_link(data)))
        return found

    def tombstones(self) -> None:
        """Read what prunes condemned: after the snapshots, which go later than they are condemned, before the index."""
        self.graves = read_graveyard(self.vault.store, self.vault.ring)
        holds = read_holds(self.vault.store, self.vault.ring)
        for damage in (*self.graves.unreadable, *holds.unreadable):
            self.findings.damaged(damage.object_name, damage.message)

    def lost(self, snapshots: Sequence[Seen], runs: Mapping[ObjectName, RunRecord]) -> None:
        """Name the snapshots and holds that something names and nobody can read, and say whose they are.

        That is the account's name where another snapshot of it tells that, else its id.
        """
        holds = {info.name for info in self.vault.store.list("holds/")}
        for gap in find_gaps(snapshots, runs, holds, self.graves.census, self.graves.condemned):
            if not (gap.object.endswith("/") and self.findings.names(gap.object)):
                self.findings.damaged(gap.object, gap.reason)
        accounts: dict[str, str] = {s.account_id: s.account for s, _ in snapshots}
        for name in self.findings.names("snapshots/"):
            account = name.split("/")[1]
            self.findings.damaged(name, "", Affected(accounts.get(account, account), "", None))

    def runs(self) -> dict[ObjectName, RunRecord]:
        """Open every run record and return those that can be read."""
        found = {}
        for name, data in self._small("runs/"):
            run = self.attempt(name, partial(open_run, self.vault.ring, name, data))
            if run:
                found[name] = run
        return found

    def _small(self, prefix: str) -> Iterator[tuple[ObjectName, bytes]]:
        for info in self.vault.store.list(prefix):
            data = self.attempt(info.name, partial(self.vault.store.get, info.name))
            if data is not None:
                yield info.name, data

    def index(self) -> None:
        """Read every index object into an index of our own."""
        for info in self.vault.store.list("index/"):
            read = partial(read_index_object, self.vault.store, self.vault.ring, info.name)
            entries = self.attempt(info.name, read)
            if entries is not None:
                self.fresh.gather(info.name, entries)
                self.blobs += sum(len(b.blobs) for e in entries for b in e.directory.blocks)
        self.fresh.sort_in()

    def objects(self) -> None:
        """Compare packs and meta objects listed with those that the index names."""
        for prefix in ("packs/", "meta/"):
            self.listed.update((info.name, info.size) for info in self.vault.store.list(prefix))
        named = dict(self.fresh.packs())
        for name, size in named.items():
            if name in self.graves.condemned:
                continue  # it may go at any moment; `trees` sees whether anything still needs it
            if name not in self.listed:
                self.findings.damaged(name, "it is missing")
            elif self.listed[name] != size:
                self.findings.damaged(name, f"it has {self.listed[name]} octets instead of {size}")
        strays = self.listed.keys() - named.keys() - self.graves.condemned.keys()
        if strays:
            self.notes.append(
                f"{len(strays)} packs are named by no index: an interrupted run left them, or an index is lost"
                " (`restante index rebuild` brings it back)"
            )

    def contents(self, sample: float) -> None:
        """Read packs and meta objects to the last byte."""
        names = sorted(self.listed.keys() - self.graves.condemned.keys())
        if sample < 1:
            names = random.sample(names, max(1, round(len(names) * sample))) if names else []
        checker = PackChecker(self.vault, self.fresh)
        self.progress.expect("", len(names), sum(self.listed[name] for name in names))
        for name in names:
            for object_name, reason, blob, if_needed in checker.check(name):
                if not if_needed:
                    self.findings.damaged(object_name, reason)
                if blob is not None:
                    self.bad_copies[name, blob] = object_name
            self.octets_read += self.listed[name]
            self.progress.advance("", 1, self.listed[name])
        if checker.unopened:
            what = "is older than" if self.vault.can_read_mail else "can't read mail:"
            self.notes.append(
                f"this key {what} {len(checker.unopened)} packs, which were compared with their SHA-256, not decrypted"
            )

    def trees(self, snapshots: Sequence[Seen]) -> None:
        """Follow every snapshot that no prune has condemned down to every message it names."""
        checker = TreeChecker(self.findings, self.reader, self.fresh, self.listed, self.bad_copies)
        for snapshot, _ in snapshots:
            if snapshot_name(snapshot.account_id, snapshot.id) not in self.graves.condemned:
                checker.check(snapshot)

    def report(self) -> CheckReport:
        """Put everything together."""
        self.fresh.close()
        return CheckReport(len(self.listed), self.blobs, self.octets_read, self.findings.all(), tuple(self.notes))
