"""Carrying out a restore: find what the target lacks, read ahead, store in batches, compare if asked."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from imap.errors import Refused
from restore.errors import MailboxRefused
from restore.fingerprint import entry_fingerprint, identity
from restore.model import (
    Alteration,
    Beside,
    Filters,
    Levels,
    Mapping,
    Outcome,
    PlannedMailbox,
    Replay,
    RestoreFailure,
    RestorePlan,
    RestoreReport,
)
from restore.pages import newest_pages
from restore.plan import ONLY_METADATA, plan_restore
from restore.room import Amount, fits, fits_after_counting, refuse_without_room
from restore.scripts import ScriptTarget, plan_scripts
from restore.select import Selected, chosen
from restore.targets.base import Target
from restore.verify import verify_mailbox
from vault.clock import Progress, Quiet
from vault.errors import ContentKeyMissing, Damage
from vault.model import Snapshot
from vault.vault import Vault

# What is in memory at once for each connection.
BATCH_MESSAGES, BATCH_OCTETS = 100, 4 << 20


def make_plan(
    vault: Vault,
    snapshot: Snapshot,
    target: Target,
    filters: Filters,
    mapping: Mapping,
    beside: Beside = ONLY_METADATA,
    scripts: ScriptTarget | None = None,
) -> RestorePlan:
    """Look at the target, and at the one for Sieve scripts if there is one, and plan the restore of a snapshot."""
    tree = vault.tree(snapshot)
    plan = plan_restore(snapshot, tree, target.url, target.survey(), filters, mapping, beside)
    if scripts is None or not tree.scripts:
        return plan
    return replace(plan, scripts=plan_scripts(tree.scripts, scripts.survey(), activate=scripts.activate))


def execute_restore(
    vault: Vault,
    plan: RestorePlan,
    target: Target,
    *,
    verify: bool,
    progress: Progress,
    stop: threading.Event,
    ignore_quota: bool = False,
    scripts: ScriptTarget | None = None,
) -> RestoreReport:
    """Carry out a plan. What the target has already is skipped; what can't be restored is in the report.

    Raises NoRoom, before any message is sent, where the target has too little room, unless `ignore_quota`. Raises
    Trouble or ImapError where nothing more will go; run the same restore again then.
    """
    if not vault.can_read_mail:
        hint = "use the passphrase, the recovery key or a full key file: the backup-only key can't read mail"
        raise ContentKeyMissing("this key can't read mail, so nothing can be restored", hint=hint)
    run = _Run(vault, plan, target, progress, stop)
    started = time.monotonic()
    found = fits(plan) if not ignore_quota else []
    try:
        refuse_without_room(plan, found)
        ready = [planned for planned in plan.mailboxes if run.prepare(planned)]
        if any(fit.verdict == "perhaps" for fit in found):
            lacking = _Run(vault, plan, target, Quiet(), stop).lacking(ready)
            refuse_without_room(plan, fits_after_counting(plan, lacking))
        run.annotate_server()
        if scripts is not None:
            run.put_scripts(scripts)
        run.replay(ready)
        verified = sum(run.verify(planned) for planned in ready) if verify and not stop.is_set() else 0
    finally:
        target.close()
    return run.report(time.monotonic() - started, verified)


class _Task(NamedTuple):
    """Some messages of one mailbox, to be restored by one thread."""

    planned: PlannedMailbox
    messages: Sequence[Selected]


class _Run:
    """One restore under way; its counts are shared by all threads."""

    def __init__(
        self, vault: Vault, plan: RestorePlan, target: Target, progress: Progress, stop: threading.Event
    ) -> None:
        self._vault = vault
        self._plan = plan
        self._target = target
        self._progress = progress
        self._stop = stop
        self._broken = threading.Event()
        self._lock = threading.Lock()
        self._restored = 0
        self._skipped = 0
        self._over_quota = 0
        self._altered = [Alteration("", None, what) for what in plan.lost]
        self._failures: list[RestoreFailure] = []

    def prepare(self, planned: PlannedMailbox) -> bool:
        """Make one mailbox; say whether it can take messages."""
        try:
            self._altered += self._target.prepare(planned)
        except MailboxRefused as refused:
            self._failures.append(RestoreFailure(planned.name, None, refused.message))
            return False
        return True

    def annotate_server(self) -> None:
        """Give the server as a whole its annotations."""
        if self._plan.metadata:
            self._altered += self._target.annotate_server(self._plan.metadata)

    def put_scripts(self, target: ScriptTarget) -> None:
        """Give the Sieve scripts back."""
        if self._plan.scripts:
            altered, failed = target.put(self._plan.scripts)
            self._altered += altered
            self._failures += failed

    def lacking(self, mailboxes: Sequence[PlannedMailbox]) -> Amount:
        """Count what the target lacks, and send nothing."""
        octets = messages = 0
        for task in self._tasks([planned for planned in mailboxes if not planned.namespace]):
            octets += sum(row.size for row, _ in task.messages)
            messages += len(task.messages)
        return Amount(octets, messages)

    def replay(self, mailboxes: Sequence[PlannedMailbox]) -> None:
        """Restore mailbox after mailbox, several threads at it, each mailbox's newest messages first."""
        tasks = self._tasks(mailboxes)
        lock = threading.Lock()

        def work() -> None:
            while not self._halted():
                with lock:
                    task = next(tasks, None)
                if task is None:
                    return
                self._restore(task)

        with ThreadPoolExecutor(self._target.connections, thread_name_prefix="restore") as pool:
            futures = [pool.submit(work) for _ in range(self._target.connections)]
            for future in futures:
                try:
                    future.result()
                except BaseException:
                    self._broken.set()  # not `stop`, which other accounts' restores heed too
                    raise

    def _halted(self) -> bool:
        return self._stop.is_set() or self._broken.is_set()

    def _tasks(self, mailboxes: Sequence[PlannedMailbox]) -> Iterator[_Task]:
        # Mailboxes that come to one place are counted together, or of two equal messages one would be left out.
        last = {planned.levels: at for at, planned in enumerate(mailboxes)}
        counted: dict[Levels, Counter[bytes]] = {}
        for at, planned in enumerate(mailboxes):
            try:
                known = counted.pop(planned.levels, None)
                present = self._target.present(planned) if known is None else known
            except Refused as refused:
                self._fail(planned, None, refused.message)
                continue
            yield from self._tasks_of(planned, present)
            if last[planned.levels] > at:
                counted[planned.levels] = present

    def _tasks_of(self, planned: PlannedMailbox, present: Counter[bytes]) -> Iterator[_Task]:
        for page in newest_pages(self._vault, planned.source):
            if page.damage:
                self._fail(planned, None, page.damage)
            messages = chosen(self._vault, page.messages, self._plan.filters)
            lacking = self._lacking(messages, present) if present else messages
            if lacking:
                self._progress.expect(self._plan.account, len(lacking), sum(row.size for row, _ in lacking))
                yield _Task(planned, lacking)

    def _lacking(self, messages: Sequence[Selected], present: Counter[bytes]) -> list[Selected]:
        """Return the messages that the target does not have, each equal one counted."""
        lacking = []
        for selected, key in zip(messages, self._keys(messages), strict=True):
            if present[key] > 0:
                present.subtract([key])
                self._skipped += 1
            else:
                lacking.append(selected)
        return lacking

    def _keys(self, chunk: Sequence[Selected]) -> list[bytes]:
        """Return what the target knows each message by."""
        if self._target.known_by == "blob":
            return [row.blob.hex().encode() for row, _ in chunk]
        entries = self._vault.catalogue({row.blob for row, _ in chunk})
        keys = []
        for row, _ in chunk:
            entry = entries.get(row.blob)
            key = entry_fingerprint(entry) if entry else None
            if key is None:
                with suppress(Damage):  # replaying it will name the damage
                    key = identity(self._vault.read_message(row.blob))
            keys.append(key or b"")
        return keys

    def _restore(self, task: _Task) -> None:
        for batch in self._batches(task):
            if self._halted():
                return
            self._append(task.planned, batch)

    def _batches(self, task: _Task) -> Iterator[list[Replay]]:
        batch: list[Replay] = []
        size = 0
        found = self._vault.read_messages((row.blob, row.size) for row, _ in task.messages)
        for (row, flags), (_, octets) in zip(task.messages, found, strict=True):
            if isinstance(octets, Damage):
                self._fail(task.planned, row.uid, octets.message)
                continue
            if batch and (len(batch) >= BATCH_MESSAGES or size + len(octets) > BATCH_OCTETS):
                yield batch
                batch, size = [], 0
            batch.append(Replay(row, flags, octets))
            size += len(octets)
        if batch:
            yield batch

    def _append(self, planned: PlannedMailbox, batch: Sequence[Replay]) -> None:
        try:
            placed = self._target.append(planned, batch)
        except Refused as refused:
            for replay in batch:
                self._fail(planned, replay.row.uid, refused.message)
            return
        with self._lock:
            for replay, result in zip(batch, placed, strict=True):
                if result.error is not None:
                    self._failures.append(RestoreFailure(planned.name, replay.row.uid, result.error))
                    self._over_quota += result.over_quota
                    continue
                self._restored += 1
                self._altered += (Alteration(planned.name, replay.row.uid, what) for what in result.altered)
        self._progress.advance(self._plan.account, len(batch), sum(r.row.size for r in batch))

    def verify(self, planned: PlannedMailbox) -> int:
        """Read a mailbox back and compare; return how many messages are there octet for octet."""
        failed = {f.uid for f in self._failures if f.mailbox == planned.name}
        pages = newest_pages(self._vault, planned.source)
        messages = (selected for page in pages for selected in chosen(self._vault, page.messages, self._plan.filters))
        expected = [(row, flags) for row, flags in messages if row.uid not in failed]
        result = verify_mailbox(self._vault, planned.name, expected, self._target.read_back(planned))
        self._altered += result.altered
        self._failures += result.missing
        return result.same

    def _fail(self, planned: PlannedMailbox, uid: int | None, reason: str) -> None:
        with self._lock:
            self._failures.append(RestoreFailure(planned.name, uid, reason))

    def report(self, took: float, verified: int) -> RestoreReport:
        """Say what became of it all."""
        return RestoreReport(
            status=self._outcome(),
            account=self._plan.account,
            snapshot=self._plan.snapshot,
            target=self._plan.target,
            seconds=took,
            restored=self._restored,
            skipped=self._skipped,
            verified=verified,
            altered=tuple(sorted(self._altered, key=_order)),
            failures=tuple(sorted(self._failures, key=_order)),
            over_quota=self._over_quota,
        )

    def _outcome(self) -> Outcome:
        if self._stop.is_set():
            return "interrupted"
        if not self._failures:
            return "complete"
        return "partial" if self._restored or self._skipped else "failed"


def _order(item: Alteration | RestoreFailure) -> tuple[str, int]:
    return item.mailbox, item.uid or 0
