"""What became of accounts and jobs so far, read from the vault's snapshots and run records alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from vault.errors import Damage, ObjectMissing
from vault.ids import AccountId, ObjectName
from vault.model import Snapshot
from vault.records import DrillResult, RunRecord
from vault.vault import Vault


@dataclass(frozen=True, slots=True)
class LastRun:
    """How a job's last run went."""

    job: str
    kind: str
    started: datetime
    finished: datetime
    status: str
    drill: DrillResult | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What the vault has of one account.

    `complete` is when its newest complete snapshot was made or last found still standing; `failing_since` when the
    first run after that one did not go well; `status` how the newest run went for it, empty where none looked.
    """

    id: AccountId
    newest: Snapshot | None = None
    complete: datetime | None = None
    failing_since: datetime | None = None
    status: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """Accounts by name; for each job its last run, and its last run that came to an end, `ended`; the last drill."""

    accounts: Mapping[str, Standing] = field(default_factory=dict)
    jobs: Mapping[str, LastRun] = field(default_factory=dict)
    ended: Mapping[str, LastRun] = field(default_factory=dict)
    drill: LastRun | None = None


def read_history(vault: Vault, accounts: Collection[str], jobs: Collection[str]) -> History:
    """Read what became of these accounts and jobs, and of every account the vault knows. Raises StoreError."""
    names = {vault.ring.account_id(name): name for name in accounts}
    found = {account: Standing(account) for account in names}
    runs = _Runs(waiting=set(names), unseen=set(jobs))
    for account, snapshots in _snapshot_names(vault).items():
        newest, complete = _newest(vault, snapshots)
        if newest is not None:
            names.setdefault(account, newest.account)
            made = datetime.fromisoformat(complete.time) if complete is not None else None
            found[account] = Standing(account, newest, made, status=newest.status)
    for run in vault.runs():
        runs.add(run)
        if runs.enough:
            break
    standing = {names[account]: _confirmed(found[account], runs.looks.get(account, ())) for account in found}
    return History(standing, runs.last, runs.ended, runs.drill)


def _snapshot_names(vault: Vault) -> dict[AccountId, list[ObjectName]]:
    """Return each account's snapshots, the newest first: their names begin with their time."""
    names: dict[AccountId, list[ObjectName]] = {}
    for info in vault.store.list("snapshots/"):
        _, account, *rest = info.name.split("/")
        if len(rest) == 1:
            names.setdefault(AccountId(account), []).append(info.name)
    return {account: found[::-1] for account, found in names.items()}


def _newest(vault: Vault, names: Iterable[ObjectName]) -> tuple[Snapshot | None, Snapshot | None]:
    """Return the newest snapshot that can be read, and the newest complete one."""
    newest: Snapshot | None = None
    for name in names:
        try:
            snapshot, _ = vault.snapshot(name)
        except (Damage, ObjectMissing):
            continue  # `check` names it; here it only means an older one
        newest = newest or snapshot
        if snapshot.status == "complete":
            return newest, snapshot
    return newest, None


class Look(NamedTuple):
    """How one run went for an account."""

    started: datetime
    finished: datetime
    status: str


@dataclass(slots=True)
class _Runs:
    """What run records say, the newest first, until no older one can say more of what is waited for."""

    waiting: set[AccountId]
    unseen: set[str]
    looks: dict[AccountId, list[Look]] = field(default_factory=dict)
    last: dict[str, LastRun] = field(default_factory=dict)
    ended: dict[str, LastRun] = field(default_factory=dict)
    drill: LastRun | None = None

    @property
    def enough(self) -> bool:
        return not self.waiting and not self.unseen

    def add(self, run: RunRecord) -> None:
        started, finished = datetime.fromisoformat(run.started), datetime.fromisoformat(run.finished)
        for account in run.accounts:
            looks = self.looks.setdefault(account.account, [])
            if looks and account.account not in self.waiting:
                continue
            looks.append(Look(started, finished, account.status))
            if account.status == "complete":
                self.waiting.discard(account.account)
        seen = LastRun(run.job, run.kind, started, finished, run.status, run.drill)
        if run.drill is not None and self.drill is None:
            self.drill = seen
        if run.job:
            self.last.setdefault(run.job, seen)
            if run.status != "interrupted":
                self.ended.setdefault(run.job, seen)
                self.unseen.discard(run.job)


def _confirmed(standing: Standing, looks: Sequence[Look]) -> Standing:
    """Put what runs saw, the newest first, on top of what the snapshots say."""
    complete, since = standing.complete, None
    for look in looks:
        if look.status == "complete":
            # Mail that came while the run was under way may have come after the look.
            complete = max(complete or look.started, look.started)
            break
        if complete is not None and look.finished <= complete:
            break
        if look.status != "interrupted":
            since = look.finished
    status = looks[0].status if looks else standing.status
    return replace(standing, complete=complete, failing_since=since, status=status)
