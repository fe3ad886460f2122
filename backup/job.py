"""A backup job: many accounts at once, one writer, checkpoints, and snapshots once all they name is durable."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from importlib.metadata import PackageNotFoundError, version

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
from vault.writer import VaultWriter

_LOOK_SECONDS, _GRACE_SECONDS = 0.2, 2.0
_ATTEMPTS = 3


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

    def attempt(*, wary: bool) -> BackupReport:
        writer = VaultWriter(vault, counted, clock=clock, tool=f"restante {version_told()}", limits=options.limits)
        halt = _Halt(stop)
        job = _Job(vault, writer, options, turns)
        runs = [
            AccountRun(source, vault, writer, options, progress, halt, budget=budgets.get(source.account), wary=wary)
            for source in accounts
        ]
        try:
            job.read(runs, halt)
            job.commit(runs)
            reports = tuple(job.report(run) for run in runs)
            status = _outcome(reports, interrupted=stop.is_set())
            looked = [(r.account, r.snapshot, r.status) for r in reports]
            downloaded = {r.account: r.downloaded_octets for r in reports}
            ended = {r.account: f.reason for r in reports for f in r.failures if not f.mailbox}
            writer.write_run(started, looked, downloaded=downloaded, reasons=ended, job=options.job, status=status)
        finally:
            writer.close()
        seconds = time.monotonic() - clock_start
        return BackupReport(status, rfc3339(started), seconds, reports, counted.puts, counted.put_octets)

    wary = False
    for _ in range(_ATTEMPTS - 1):
        try:
            return attempt(wary=wary)
        except Overtaken as overtaken:
            wary = wary or overtaken.committed
    return attempt(wary=wary)


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
        self._active: set[AccountRun] = set()
        self._unwritten: set[AccountRun] = set()
        self._snapshots: dict[AccountRun, SnapshotId] = {}
        self._last_checkpoint = time.monotonic()

    def read(self, runs: Sequence[AccountRun], stop: threading.Event) -> None:
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

    def _read_all(self, runs: Sequence[AccountRun], stop: threading.Event) -> None:
        waiting = list(runs)
        with ThreadPoolExecutor(self._options.accounts_at_once, thread_name_prefix="account") as pool:
            futures = [pool.submit(self._read_some, waiting, stop) for _ in range(self._options.accounts_at_once)]
            done, _ = wait(futures, return_when="FIRST_EXCEPTION")
            if any(future.exception() for future in done):
                stop.set()
        for future in futures:
            future.result()

    def _read_some(self, waiting: list[AccountRun], stop: threading.Event) -> None:
        while True:
            with self._turns.take(waiting, _server, stop) as run:
                if run is None:
                    return
                self._read_one(run)

    def _read_one(self, run: AccountRun) -> None:
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

    def commit(self, runs: Sequence[AccountRun]) -> None:
        """Make all durable and write the snapshots still owed."""
        with self._lock:
            self._write([run for run in runs if run in self._unwritten])

    def _write(self, runs: Sequence[AccountRun]) -> None:
        """Capture first, then flush, then write snapshots: each names only what is durable."""
        drafts = [(run, run.capture()) for run in runs]
        self._writer.flush()
        owed = [(run, draft) for run, draft in drafts if draft is not None]
        made = self._writer.write_snapshots([draft for _, draft in owed])
        self._snapshots.update((run, snapshot.id) for (run, _), snapshot in zip(owed, made, strict=True))
        self._unwritten.difference_update(runs)
        self._last_checkpoint = time.monotonic()

    def report(self, run: AccountRun) -> AccountReport:
        """Return an account's report with the snapshot that stands for it."""
        return run.report(self._snapshots.get(run))


def _server(run: AccountRun) -> str:
    return run.source.endpoint.host


def _outcome(reports: Sequence[AccountReport], *, interrupted: bool) -> Outcome:
    statuses = {report.status for report in reports}
    if interrupted or "interrupted" in statuses:
        return "interrupted"
    if statuses <= {"complete"}:
        return "complete"
    return "failed" if statuses == {"failed"} else "partial"


def version_told() -> str:
    """Return the version that records name."""
    try:
        return version("restante")
    except PackageNotFoundError:
        return "from source"
