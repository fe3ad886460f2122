"""What is asked of a restore, and carrying it out for one account or for many, in this process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from restante.targets import Address, open_address, script_target
from restore import (
    Beside,
    Filters,
    Mapping,
    RestoreJob,
    RestorePlan,
    RestoreReport,
    ScriptTarget,
    Target,
    execute_restore,
    make_plan,
    restore_many,
)
from vault.clock import Progress
from vault.model import Snapshot
from vault.vault import Vault

Place = tuple[Snapshot, Address]
"""A snapshot, and where it goes."""


class Wishes(NamedTuple):
    """Which messages, where to, what beside mail, where Sieve scripts go, what to do about quotas, and afterwards."""

    filters: Filters
    mapping: Mapping
    beside: Beside
    sieve: str | None
    activate: bool
    ledgers: Path
    receipts: bool
    verify: bool
    ignore_quota: bool


def planned(
    vault: Vault, snapshot: Snapshot, address: Address, wishes: Wishes
) -> tuple[Target, RestorePlan, ScriptTarget | None]:
    """Look at a target, and plan one account's restore to it."""
    target = open_address(address, wishes.ledgers, receipts=wishes.receipts)
    scripts = script_target(wishes.sieve, address, activate=wishes.activate) if wishes.sieve else None
    plan = make_plan(vault, snapshot, target, wishes.filters, wishes.mapping, wishes.beside, scripts)
    return target, plan, scripts


def restore_one(
    vault: Vault, snapshot: Snapshot, address: Address, wishes: Wishes, progress: Progress, stop: threading.Event
) -> RestoreReport:
    """Restore one account. Raises what `execute_restore` does."""
    target, plan, scripts = planned(vault, snapshot, address, wishes)
    return execute_restore(
        vault,
        plan,
        target,
        verify=wishes.verify,
        progress=progress,
        stop=stop,
        ignore_quota=wishes.ignore_quota,
        scripts=scripts,
    )


def restore_places(
    vault: Vault, places: Sequence[Place], wishes: Wishes, progress: Progress, stop: threading.Event, *, at_once: int
) -> list[RestoreReport]:
    """Restore many accounts, so many at once; one that fails is in its report."""
    jobs = [
        RestoreJob(snapshot, address.url, partial(restore_one, vault, snapshot, address, wishes, progress, stop))
        for snapshot, address in places
    ]
    return restore_many(jobs, at_once)
