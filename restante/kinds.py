"""What a job of the configuration can do: one function for each kind. A new kind is one line in `KINDS`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import structlog

from backup import AccountReport, BackupReport, run_backup
from backup.turns import Turns
from restante.config import Job, Kind
from restante.history import History
from restante.judging import fair_order
from restante.locking import copied, pruned
from restante.progress import Lines
from restante.vanished import vanished
from restante.wiring import Wiring
from vault.clock import Clock, Stoppable, Stopped
from vault.errors import Trouble
from vault.keys import KeyRing
from vault.records import CheckResult


@dataclass(frozen=True, slots=True)
class Task:
    """One run of one job: what it works with, and what tells it to stop. Its `wiring` is its own."""

    wiring: Wiring
    job: Job
    history: History
    turns: Turns
    stop: threading.Event
    clock: Clock


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended: one of the words of run records; `figures` go to the log and the metrics.

    `recorded` says whether the run wrote its own run record; `check` and `error` are for the one that it did not.
    """

    status: str
    figures: Mapping[str, int | float] = field(default_factory=dict)
    recorded: bool = False
    check: CheckResult | None = None
    error: Exception | None = None


def run_task(task: Task) -> Result:
    """Do what a job says. Raises whatever can go wrong."""
    try:
        return KINDS[task.job.does](task)
    except Stopped:
        return Result("interrupted")


def _back_up(task: Task) -> Result:
    wiring, name = task.wiring, task.job.name
    sources = {source.account: source for source in wiring.accounts([], name)}
    gone = vanished(wiring.vault, name, sources)
    report = run_backup(
        wiring.vault,
        wiring.store,
        [sources[account] for account in fair_order(sources, task.history)],
        options=wiring.backup_options(name),
        clock=task.clock,
        progress=Lines("backing up", job=name),
        stop=task.stop,
        turns=task.turns,
    )
    for account in report.accounts:
        _log_account(task, account, wiring.vault.ring)
    for account_name in gone:
        account_id = wiring.vault.ring.account_id(account_name)
        structlog.get_logger().warning("account vanished, its snapshots stay", job=name, account=account_id[:12])
    return Result(report.status, {**_backup_figures(report), "accounts_vanished": len(gone)}, recorded=True)


def _log_account(task: Task, account: AccountReport, ring: KeyRing) -> None:
    """Name what did not go well by the account's id: `restante status` shows whose it is."""
    if account.status not in ("complete", "interrupted") or account.alarms:
        structlog.get_logger().warning(
            "account", job=task.job.name, account=ring.account_id(account.account)[:12], status=account.status,
            failures=len(account.failures), alarms=len(account.alarms),
        )  # fmt: skip


def _backup_figures(report: BackupReport) -> dict[str, int | float]:
    statuses = [account.status for account in report.accounts]
    return {
        "accounts": len(statuses),
        "accounts_partial": statuses.count("partial"),
        "accounts_failed": statuses.count("failed"),
        "new_messages": sum(account.new_messages for account in report.accounts),
        "downloaded_bytes": sum(account.downloaded_octets for account in report.accounts),
        "stored_bytes": report.store_octets,
    }


def _check(task: Task) -> Result:
    from vault.check import check_vault

    progress = Stoppable(Lines("checking", job=task.job.name), task.stop)
    sample = task.job.sample
    report = check_vault(task.wiring.vault, read=sample is not None, sample=sample or 1.0, progress=progress)
    affected = {a.account for found in report.damage for a in found.affects}
    figures = {
        "packs": report.packs,
        "read_bytes": report.octets_read,
        "damaged_objects": len(report.damage),
        "damaged_accounts": len(affected),
    }
    found = CheckResult(share=sample or 0.0, damaged=len(report.damage))
    return Result("damaged" if report.damage else "complete", figures, check=found)


def _prune(task: Task) -> Result:
    from backup.prune import run_prune

    wiring = task.wiring
    progress = Stoppable(Lines("pruning", job=task.job.name), task.stop)
    report, extended = pruned(
        wiring,
        task.clock,
        lambda: run_prune(wiring.vault, wiring.store, wiring.retention, clock=task.clock, progress=progress),
    )
    if report.interrupted:
        raise Stopped
    ring = wiring.vault.ring
    for account in report.suspended:
        structlog.get_logger().warning("expiry suspended", job=task.job.name, account=ring.account_id(account)[:12])
    if extended is not None and extended.refused:
        structlog.get_logger().warning("locks not extended", job=task.job.name, objects=len(extended.refused))
    figures = {
        "snapshots_kept": sum(s.keep for s in report.snapshots),
        "condemned_objects": report.condemned,
        "deleted_objects": report.deleted,
        "freed_bytes": report.octets_freed,
        "waiting_objects": report.waiting,
        "accounts_suspended": len(report.suspended),
        **({"locks_extended": extended.extended, "locks_refused": len(extended.refused)} if extended else {}),
    }
    return Result("partial" if extended and extended.refused else "complete", figures)


def _drill(task: Task) -> Result:
    from restante.drilling import drill_vault

    job, progress = task.job, Lines("drilling", job=task.job.name)
    share = job.sample if job.sample is not None else 1.0
    report = drill_vault(
        task.wiring, [], share=share, to=job.to, job=job.name, clock=task.clock, progress=progress, stop=task.stop
    )
    figures: dict[str, int | float] = {
        "accounts": report.plan.drilled.accounts,
        "messages": report.plan.drilled.messages,
        "restored_bytes": report.plan.drilled.octets,
        "restore_seconds": round(report.seconds, 3),
        "altered": sum(len(account.altered) for account in report.accounts),
        "failures": sum(len(account.failures) for account in report.accounts),
    }
    if report.rto is not None:
        figures["rto_seconds"] = round(report.rto, 3)
    return Result(report.status, figures, recorded=True)


def _copy(task: Task) -> Result:
    """Bring each replica what it lacks; one that can't be reached keeps none of the others waiting."""
    from vault.copy import CopyReport, copy_vault

    wiring, progress = task.wiring, Lines("copying", job=task.job.name)
    reports: list[CopyReport] = []
    failed: Trouble | None = None
    for replica in wiring.replicas:
        try:
            store, ring = wiring.replica(replica.name), wiring.vault.ring
            copying = partial(copy_vault, wiring.store, ring, store, progress=progress, stop=task.stop)
            reports.append(copied(store, ring, task.clock, copying, partial(_doubt, task.job.name, replica.name)))
        except Trouble as error:
            structlog.get_logger().warning("copy failed", job=task.job.name, replica=replica.name, error=error.message)
            failed = failed or error
    if failed is not None:
        raise failed
    if task.stop.is_set():
        raise Stopped
    figures = {
        "copied_objects": sum(report.copied for report in reports),
        "copied_bytes": sum(report.octets for report in reports),
        "skipped_objects": sum(report.skipped for report in reports),
        "damaged_objects": sum(len(report.damage) for report in reports),
        "lag_seconds": max((report.lag for report in reports), default=0.0),
    }
    return Result("damaged" if figures["damaged_objects"] else "complete", figures)


def _doubt(job: str, replica: str, reason: str) -> None:
    structlog.get_logger().warning("locks in doubt", job=job, replica=replica, reason=reason)


KINDS: dict[Kind, Callable[[Task], Result]] = {
    "backup": _back_up,
    "check": _check,
    "prune": _prune,
    "drill": _drill,
    "copy": _copy,
}
