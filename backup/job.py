"""A backup job: many accounts at once, one writer, checkpoints, and snapshots once all they name is durable."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from backup.account import AccountRun
from backup.budget import day_budgets
from backup.model import AccountReport, BackupOptions, BackupReport, Outcome, SourceAccount
from backup.turns import Turns
from vault.clock import Clock, Progress
from vault.errors import Overtaken
from vault.ids import SnapshotId
from vault.records import rfc3339
from vault.stores.base import WriteStore
from vault.stores.counting import CountingStore
from vault.vault import Vault
from vault.version import TOOL
from vault.writer import SnapshotDraft, VaultWriter

if TYPE_CHECKING:
    from backup.hands import Hands

_LOOK_SECONDS, _GRACE_SECONDS = 0.2, 2.0
_ATTEMPTS = 3


class Run(Protocol):
    """One account under way, in this process (AccountRun) or in another (HandRun)."""

    source: SourceAccount

    def run(self, checkpoint: Callable[[], None]) -> None: ...
    def capture(self) -> SnapshotDraft | None: ...
    def abort(self) -> None: ...
    def report(self, snapshot: SnapshotId | None) -> AccountReport: ...


def run_backup(
    vault: Vault,
    store: WriteStore,
    accounts: Sequence[SourceAccount],
    *,
    options: BackupOptions,
    clock: Clock,
    progress: Progress,
    stop: threading.Event,
    turns: Turns | None = None,
) -> BackupReport:
    """Back up accounts into a vault. When `stop` is set, a checkpoint is written and the rest left for the next run.

    `turns` bounds how much happens at once where several jobs share it; without, `options` does for this job alone.
    Trouble with one account is in the report; trouble with the store is raised (StoreError), and what the last
    checkpoint covers is safe. A run that a prune overtook starts over from its checkpoint, and gives up (Overtaken)
    where that happens again and again.
    """
    counted = CountingStore(store)
    started, clock_start = clock.now(), time.monotonic()
    budgets = day_budgets(vault, accounts, clock)
    turns = turns or Turns(options.accounts_at_once, options.accounts_per_server, options.accounts_of)
    processes = processes_for(vault, accounts, options)

    def attempt(*, wary: bool) -> BackupReport:
        halt = _Halt(stop)
        with ExitStack() as held:
            hands: Hands | None = None
            if processes > 1:
                from backup.hands import Hands  # most runs do without, and it takes a while

                # They start while the writer asks what the store holds.
                hands = held.enter_context(Hands(processes, vault, counted, options, progress, halt))
            writer = VaultWriter(vault, counted, clock=clock, tool=TOOL, limits=options.limits)
            held.callback(writer.close)
            if hands is not None:
                hands.help(writer)

            def begin(source: SourceAccount) -> Run:
                budget = budgets.get(source.account)
                if hands is not None:
                    return hands.run(source, budget, wary=wary)
                return AccountRun(source, vault, writer, options, progress, halt, budget=budget, wary=wary)

            job = _Job(vault, writer, options, turns)
            runs = [begin(source) for source in accounts]
            job.read(runs, halt)
            job.commit(runs)
            reports = tuple(job.report(run) for run in runs)
            status = _outcome(reports, interrupted=stop.is_set())
            looked = [(r.account, r.snapshot, r.status) for r in reports]
            downloaded = {r.account: r.downloaded_octets for r in reports}
            ended = {r.account: f.reason for r in reports for f in r.failures if not f.mailbox}
            writer.write_run(started, looked, downloaded=downloaded, reasons=ended, job=options.job, status=status)
        seconds = time.monotonic() - clock_start
        return BackupReport(status, rfc3339(started), seconds, reports, counted.puts, counted.put_octets)

    wary = False
    for _ in range(_ATTEMPTS - 1):
        try:
            return attempt(wary=wary)
        except Overtaken as overtaken:
            wary = wary or overtaken.committed
    return attempt(wary=wary)


_NEW_FOR_ONE, _KNOWN_FOR_ONE = 2, 100
"""So many accounts that were never backed up, or that were, take longer to read than a process takes to start."""


def processes_for(vault: Vault, accounts: Sequence[SourceAccount], options: BackupOptions) -> int:
    """Say how many processes should read the accounts; 1 is this one alone.

    `options.processes` if it is set, else one for each processor where there is much to do. Where bandwidth is bounded
    all connections must be in one process, and it would not help.
    """
    if any(source.pace for source in accounts):
        return 1
    most = min(options.accounts_at_once, len(accounts))
    wanted = options.processes
    if wanted is None:
        ids = [vault.ring.account_id(source.account) for source in accounts]
        known = sum(vault.index.remembers(f"snapshots/{account}/") for account in ids)
        worth = (len(ids) - known) // _NEW_FOR_ONE + known // _KNOWN_FOR_ONE
        wanted = min(worth, os.cpu_count() or 1)
    return max(1, min(most, wanted))


class _Halt(threading.Event):
    """Set for this attempt alone, or because the whole run was told to stop."""

    def __init__(self, outer: threading.Event) -> None:
        super().__init__()
        self._outer = outer

    def is_set(self) -> bool:
        return super().is_set() or self._outer.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = _LOOK_SECONDS if deadline is None else min(_LOOK_SECONDS, deadline - time.monotonic())
            if left <= 0:
                return False
            super().wait(left)
        return True


class _Job:
    """What the accounts of one job share: the writer, and whose turn it is to make a checkpoint."""

    def __init__(self, vault: Vault, writer: VaultWriter, options: BackupOptions, turns: Turns) -> None:
        self._vault = vault
        self._writer = writer
        self._options = options
        self._turns = turns
        self._lock = threading.Lock()
        self._active: set[Run] = set()
        self._unwritten: set[Run] = set()
        self._snapshots: dict[Run, SnapshotId] = {}
        self._last_checkpoint = time.monotonic()

    def read(self, runs: Sequence[Run], stop: threading.Event) -> None:
        """Read all accounts, several at once; raise the first error that is not an account's own."""
        ended = threading.Event()
        threading.Thread(target=self._abort_when_stopped, args=(stop, ended), daemon=True).start()
        try:
            self._read_all(runs, stop)
        finally:
            ended.set()

    def _abort_when_stopped(self, stop: threading.Event, ended: threading.Event) -> None:
        """Give connections a moment to end by themselves after `stop`, then break them: a server may be silent."""
        while not ended.wait(_LOOK_SECONDS):
            if stop.is_set() and not ended.wait(_GRACE_SECONDS):
                with self._lock:
                    active = list(self._active)
                for run in active:
                    run.abort()

    def _read_all(self, runs: Sequence[Run], stop: threading.Event) -> None:
        waiting = list(runs)
        with ThreadPoolExecutor(self._options.accounts_at_once, thread_name_prefix="account") as pool:
            futures = [pool.submit(self._read_some, waiting, stop) for _ in range(self._options.accounts_at_once)]
            done, _ = wait(futures, return_when="FIRST_EXCEPTION")
            if any(future.exception() for future in done):
                stop.set()
        for future in futures:
            future.result()

    def _read_some(self, waiting: list[Run], stop: threading.Event) -> None:
        while True:
            with self._turns.take(waiting, _server, stop) as run:
                if run is None:
                    return
                self._read_one(run)

    def _read_one(self, run: Run) -> None:
        with self._lock:
            self._active.add(run)
        run.run(self._checkpoint_if_due)
        with self._lock:
            self._active.discard(run)
            self._unwritten.add(run)

    def _checkpoint_if_due(self) -> None:
        waiting = self._writer.packs_waiting
        late = time.monotonic() - self._last_checkpoint >= self._options.checkpoint_seconds
        if (waiting >= self._options.checkpoint_packs or (waiting and late)) and self._lock.acquire(blocking=False):
            try:
                self._write([*self._unwritten, *self._active])
            finally:
                self._lock.release()

    def commit(self, runs: Sequence[Run]) -> None:
        """Make all durable and write the snapshots still owed."""
        with self._lock:
            self._write([run for run in runs if run in self._unwritten])

    def _write(self, runs: Sequence[Run]) -> None:
        """Capture first, then flush, then write snapshots: each names only what is durable."""
        drafts = [(run, run.capture()) for run in runs]
        self._writer.flush()
        owed = [(run, draft) for run, draft in drafts if draft is not None]
        made = self._writer.write_snapshots([draft for _, draft in owed])
        self._snapshots.update((run, snapshot.id) for (run, _), snapshot in zip(owed, made, strict=True))
        self._unwritten.difference_update(runs)
        self._last_checkpoint = time.monotonic()

    def report(self, run: Run) -> AccountReport:
        """Return an account's report with the snapshot that stands for it."""
        return run.report(self._snapshots.get(run))


def _server(run: Run) -> str:
    return run.source.endpoint.host


def _outcome(reports: Sequence[AccountReport], *, interrupted: bool) -> Outcome:
    statuses = {report.status for report in reports}
    if interrupted or "interrupted" in statuses:
        return "interrupted"
    if statuses <= {"complete"}:
        return "complete"
    return "failed" if statuses == {"failed"} else "partial"
