"""Drills: accounts are restored to a throw-away place and compared; what that took tells how long all would take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Literal

from restore.many import RestoreJob, restore_many
from restore.model import Alteration, Beside, Filters, Mapping, RestoreFailure, RestoreReport
from restore.run import execute_restore, make_plan
from restore.targets.base import Target
from vault.clock import Progress
from vault.errors import ContentKeyMissing
from vault.ids import SnapshotId
from vault.model import Snapshot
from vault.vault import Vault

DrillStatus = Literal["complete", "partial", "damaged", "interrupted"]


@dataclass(frozen=True, slots=True)
class Amount:
    """How much mail: accounts, messages, octets."""

    accounts: int
    messages: int
    octets: int


@dataclass(frozen=True, slots=True)
class DrillPlan:
    """Which snapshots a drill restores, and how much that is of the whole vault."""

    snapshots: tuple[Snapshot, ...]
    drilled: Amount
    vault: Amount


@dataclass(frozen=True, slots=True)
class AccountDrill:
    """What a drill found of one account: `same` messages came back octet for octet, with flags and date."""

    account: str
    snapshot: SnapshotId
    status: DrillStatus
    messages: int
    octets: int
    same: int
    altered: tuple[Alteration, ...]
    failures: tuple[RestoreFailure, ...]


@dataclass(frozen=True, slots=True)
class DrillReport:
    """What a drill found. `seconds` is what restoring took, comparing apart; `rto` what restoring the vault would."""

    status: DrillStatus
    seconds: float
    rto: float | None
    plan: DrillPlan
    accounts: tuple[AccountDrill, ...]


def plan_drill(newest: Sequence[Snapshot], wanted: Sequence[str], share: float, random: Random) -> DrillPlan:
    """Choose the accounts to drill: those wanted, else all; of these a share by chance, but always one."""
    eligible = [snapshot for snapshot in newest if not wanted or snapshot.account in wanted]
    number = min(len(eligible), max(1, round(len(eligible) * share)))
    chosen = sorted(random.sample(eligible, number), key=lambda snapshot: snapshot.account)
    return DrillPlan(tuple(chosen), _amount(chosen), _amount(newest))


def _amount(snapshots: Sequence[Snapshot]) -> Amount:
    return Amount(len(snapshots), sum(s.messages for s in snapshots), sum(s.octets for s in snapshots))


def estimate_rto(seconds: float, drilled: Amount, vault: Amount) -> float | None:
    """Return how long the whole vault would take at the same pace, by messages or by octets, whichever is longer."""
    if not drilled.messages or not drilled.octets:
        return None
    return seconds * max(vault.messages / drilled.messages, vault.octets / drilled.octets)


def run_drill(
    vault: Vault,
    plan: DrillPlan,
    open_place: Callable[[Snapshot], Target],
    *,
    mapping: Mapping,
    at_once: int,
    progress: Progress,
    stop: threading.Event,
) -> DrillReport:
    """Restore the planned snapshots, which is timed; then restore them again, which must add nothing, and compare.

    `open_place` gives an empty place for a snapshot, and the same one when it is asked again.
    Raises ContentKeyMissing, StoreError.
    """
    if not vault.can_read_mail:
        hint = "a drill needs the passphrase, the recovery key or a full key file: the backup-only key can't read mail"
        raise ContentKeyMissing("this key can't read mail, so no restore can be tried", hint=hint)

    def restore(snapshot: Snapshot, *, verify: bool) -> RestoreReport:
        target = open_place(snapshot)
        ready = make_plan(vault, snapshot, target, Filters(), mapping, Beside(metadata=False, shared=True))
        return execute_restore(vault, ready, target, verify=verify, progress=progress, stop=stop)

    def restore_all(*, verify: bool) -> list[RestoreReport]:
        jobs = [RestoreJob(one, "the drill's place", partial(restore, one, verify=verify)) for one in plan.snapshots]
        return restore_many(jobs, at_once)

    began = time.monotonic()
    restored = restore_all(verify=False)
    seconds = time.monotonic() - began
    compared = restore_all(verify=True) if not stop.is_set() else []
    if stop.is_set():
        return DrillReport("interrupted", seconds, None, plan, ())
    accounts = tuple(map(_judged, plan.snapshots, restored, compared))
    status = _worst([account.status for account in accounts])
    rto = estimate_rto(seconds, plan.drilled, plan.vault) if status != "damaged" else None
    return DrillReport(status, seconds, rto, plan, accounts)


def _judged(snapshot: Snapshot, restored: RestoreReport, compared: RestoreReport) -> AccountDrill:
    failures = dict.fromkeys((*restored.failures, *compared.failures))
    if compared.restored:
        again = f"{compared.restored} messages were stored a second time when the restore was repeated"
        failures[RestoreFailure("", None, again)] = None
    altered = tuple(dict.fromkeys((*restored.altered, *compared.altered)))
    return AccountDrill(
        account=snapshot.account,
        snapshot=snapshot.id,
        status="damaged" if failures else "partial" if altered else "complete",
        messages=snapshot.messages,
        octets=snapshot.octets,
        same=compared.verified,
        altered=altered,
        failures=tuple(failures),
    )


def _worst(statuses: Sequence[DrillStatus]) -> DrillStatus:
    order: tuple[DrillStatus, ...] = ("damaged", "partial", "complete")
    return next((status for status in order if status in statuses), "complete")
