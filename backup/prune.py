"""Pruning a vault by retention policies: who keeps what, and where expiry is suspended."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from backup.retention import Policy, Shot, keep, mass_disappearance
from vault.clock import Clock, Progress
from vault.prune import AccountState, Judgement, PruneReport, prune_vault
from vault.prune_plan import Thresholds
from vault.stores.base import FullStore
from vault.tombstones import GRACE
from vault.vault import Vault
from vault.version import TOOL


def run_prune(
    vault: Vault,
    store: FullStore,
    policy_of: Callable[[str], Policy],
    *,
    clock: Clock,
    acknowledged: Collection[str] = (),
    dry_run: bool = False,
    thresholds: Thresholds | None = None,
    progress: Progress | None = None,
) -> PruneReport:
    """Apply retention and remove what nothing needs; see vault/prune.py for what makes that safe.

    `acknowledged` names accounts of which an administrator says that it is right for mail, or snapshots, to be gone.
    Raises PruneRefused, Damage, StoreError.
    """

    def judge(state: AccountState) -> Judgement:
        return judge_account(state, policy_of(state.name), acknowledged=state.name in acknowledged)

    return prune_vault(
        store,
        vault.ring,
        judge,
        clock=clock,
        acknowledged=acknowledged,
        dry_run=dry_run,
        tool=TOOL,
        thresholds=thresholds,
        progress=progress,
    )


def judge_account(state: AccountState, policy: Policy, *, acknowledged: bool = False) -> Judgement:
    """Judge one account; where most of its mail went at once, keep everything until someone says that it is right."""
    shots = [
        Shot(s.id, datetime.fromisoformat(s.time), s.status, s.sequence, s.messages, state.written[s.id])
        for s in state.snapshots
    ]
    verdicts = keep(shots, policy, state.now, state.held, grace=GRACE)
    before = state.standing
    suspended = (before.suspended if before else None) or mass_disappearance(shots, before.sequence if before else 0)
    if acknowledged or suspended is None:
        return Judgement({v.id: (v.keep, v.rule) for v in verdicts})
    why = f"expiry is suspended: over half of the messages are gone in {suspended}"
    return Judgement({v.id: (True, v.rule if v.keep else why) for v in verdicts}, suspended)
