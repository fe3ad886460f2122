"""A vault in memory that grows, ages and is pruned, with the truth of every snapshot beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

import msgspec

from backup.prune import run_prune
from backup.retention import Policy
from tests.faults import Fault, FaultyStore, MemoryStore
from tests.secret import keep_secret, new_secret
from vault.check import check_vault
from vault.clock import SystemClock
from vault.ids import ObjectName
from vault.keyring import export_key, init_vault
from vault.model import Mailbox, MessageRow, Snapshot, Status, Tree
from vault.packer import PackLimits
from vault.prune import PruneReport
from vault.prune_plan import Thresholds
from vault.records import Confirmed, RunRecord, rfc3339, write_run
from vault.slots import KeyFile, Passphrase
from vault.stores.base import FullStore, WriteStore
from vault.table import flag_table, message_table
from vault.vault import Vault, open_vault
from vault.waiting import Stretch
from vault.writer import SnapshotDraft, VaultWriter

START = datetime(2024, 1, 1, tzinfo=UTC)
DATE = "21-Nov-1997 09:55:06 -0600"
SMALL = PackLimits(pack=40_000, block=4_000, alone=3_000, message_alone=3_000)
EAGER = Thresholds(small=3_000, many=4, packs=3)
Mails = Mapping[int, bytes]
"""A mailbox: UIDs and octets."""


class FakeClock:
    """Time that passes when it is told to."""

    def __init__(self, moment: datetime = START, skew: timedelta = timedelta()) -> None:
        self.moment = moment
        self.skew = skew

    def now(self) -> datetime:
        return self.moment + self.skew

    def pass_(self, **span: float) -> None:
        self.moment += timedelta(**span)


@cache
def _template() -> tuple[dict[ObjectName, bytes], KeyFile, KeyFile]:
    store, secret = MemoryStore(), Passphrase(new_secret())
    keep_secret(init_vault(store, secret.text))
    keys = (KeyFile(export_key(store, secret, backup_only=only)) for only in (True, False))
    return store.objects, *keys  # type: ignore[return-value]


@dataclass
class Archive:
    """One vault. Backups and prunes have only the backup-only key; reading back has the full one."""

    clock: FakeClock = field(default_factory=FakeClock)
    truth: dict[bytes, dict[int, bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        objects, self.backup_key, self.full_key = _template()
        self.store = MemoryStore(objects, clock=self.clock)

    def open(self, store: WriteStore | None = None) -> Vault:
        return open_vault(store or self.store, self.full_key)

    def backup(
        self,
        mails: Mails,
        account: str = "anna",
        *,
        status: Status = "complete",
        store: WriteStore | None = None,
        clock: FakeClock | None = None,
        vault: Vault | None = None,
        wary: bool = False,
    ) -> Snapshot:
        """Bring an account to what the mails are, as a run would: from its newest snapshot, then a run record."""
        at = store or self.store
        vault = vault or open_vault(at, self.backup_key)
        writer = VaultWriter(vault, at, clock=clock or self.clock, limits=SMALL)
        try:
            draft = draft_of(vault, writer, account, mails, status, wary=wary)
            self.truth[draft.tree] = dict(mails)
            writer.flush()
            snapshot = writer.write_snapshot(draft)
            writer.write_run((clock or self.clock).now(), [(account, snapshot.id, status)], job="hourly", status=status)
        finally:
            writer.close()
        return snapshot

    def confirm(self, vault: Vault, account: str = "anna") -> None:
        """Back up an account in which nothing changed: the newest snapshot stands."""
        found = vault.newest(vault.ring.account_id(account))
        if found:
            confirmed = Confirmed(found.snapshot.account_id, found.snapshot.id, "complete")
            now = rfc3339(self.clock.now())
            record = RunRecord(
                started=now, finished=now, accounts=(confirmed,), job="hourly", kind="backup", status="complete"
            )
            write_run(self.store, vault.ring, record)

    def prune(
        self,
        policy: Policy | Mapping[str, Policy],
        *faults: Fault,
        acknowledged: Sequence[str] = (),
        dry_run: bool = False,
        store: FullStore | None = None,
    ) -> PruneReport:
        """Prune as the schedule's host would, which can't read mail."""
        at = store or (FaultyStore(self.store, *faults) if faults else self.store)
        policy_of = (lambda _: policy) if isinstance(policy, Policy) else lambda name: policy.get(name, Policy())
        vault = open_vault(at, self.backup_key)
        return run_prune(
            vault, at, policy_of, clock=self.clock, acknowledged=acknowledged, dry_run=dry_run, thresholds=EAGER
        )

    def prune_until_settled(self, policy: Policy) -> None:
        """Prune day by day until everything that can go is gone."""
        for _ in range(8):
            self.prune(policy)
            self.clock.pass_(hours=25)

    def snapshots(self) -> list[Snapshot]:
        return self.open().snapshots()

    def names(self, prefix: str = "") -> list[ObjectName]:
        return [info.name for info in self.store.list(prefix)]

    def octets(self) -> int:
        return sum(map(len, self.store.objects.values()))

    def assert_sound(self, *, read: bool = True) -> None:
        """Demand that `check` is content and every snapshot gives back what was put in."""
        vault = self.open()
        assert check_vault(vault, read=read).damage == ()
        for snapshot in vault.snapshots():
            assert contents(vault, snapshot) == self.truth[snapshot.tree]


def draft_of(
    vault: Vault, writer: VaultWriter, account: str, mails: Mails, status: Status, *, wary: bool = False
) -> SnapshotDraft:
    """Add what is new to the newest snapshot's tables; what is gone is dropped. Who is wary begins with nothing."""
    found = vault.newest(vault.ring.account_id(account))
    if found and (wary or found.late):
        found = None
    before = vault.tree(found.snapshot).mailboxes[0] if found else None
    rows = message_table(writer.read_meta, before.rows if before else None)
    flags = flag_table(writer.read_meta, before.flags if before else None)
    known = {row.uid: row for row in rows.rows()}
    new = [
        MessageRow(uid, writer.add_message(octets, Stretch()).blob, len(octets), DATE)
        for uid, octets in mails.items()
        if uid not in known
    ]
    gone = [uid for uid in known if uid not in mails]
    rows.update(new, gone, writer.add_meta)
    flags.update([(row.uid, ("\\Seen",)) for row in new], gone, writer.add_meta)
    inbox = Mailbox(
        name="INBOX", raw=b"INBOX", messages=len(mails), rows=rows.write_root(writer.add_meta),
        flags=flags.write_root(writer.add_meta),
    )  # fmt: skip
    tree = writer.add_meta(msgspec.json.encode(Tree((inbox,))))
    return SnapshotDraft(account, status, tree, 1, len(mails), sum(map(len, mails.values())))


def contents(vault: Vault, snapshot: Snapshot) -> dict[int, bytes]:
    """Return what a snapshot holds."""
    (inbox,) = vault.tree(snapshot).mailboxes
    return {row.uid: vault.read_message(row.blob) for row in vault.rows(inbox)}


__all__ = ["START", "Archive", "FakeClock", "SystemClock", "contents", "draft_of"]
