"""What became of accounts and jobs so far, read from the vault's snapshots and run records alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from vault.errors import Damage, ObjectMissing
from vault.ids import AccountId, ObjectName
from vault.model import Snapshot
from vault.records import RunRecord
from vault.vault import Vault


@dataclass(frozen=True, slots=True)
class LastRun:
    """How a job's last run went."""

    job: str
    kind: str
    started: datetime
    finished: datetime
    status: str


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
    """Accounts by name; for each job its last run, and its last run that came to an end, `ended`."""

    accounts: Mapping[str, Standing] = field(default_factory=dict)
    jobs: Mapping[str, LastRun] = field(default_factory=dict)
    ended: Mapping[str, LastRun] = field(default_factory=dict)


def read_history(vault: Vault, accounts: Collection[str]) -> History:
    """Read what became of these accounts, and of every account the vault knows. Raises StoreError."""
    standing = {vault.ring.account_id(name): name for name in accounts}
    found = {account: Standing(account) for account in standing}
    for account, names in _snapshot_names(vault).items():
        newest, complete = _newest(vault, names)
        if newest is not None:
            standing.setdefault(account, newest.account)
            made = datetime.fromisoformat(complete.time) if complete is not None else None
            found[account] = Standing(account, newest, made, status=newest.status)
    runs = list(vault.runs())
    history = _of_jobs(runs)
    looked = _looks(runs)
    return replace(
        history,
        accounts={standing[account]: _confirmed(found[account], looked.get(account, ())) for account in found},
    )


def _snapshot_names(vault: Vault) -> dict[AccountId, list[ObjectName]]:
    """Return each account's snapshots, the newest first: their names begin with their time."""
    names: dict[AccountId, list[ObjectName]] = {}
    for info in vault.store.list("snapshots/"):
        _, account, _ = info.name.split("/")
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


def _looks(runs: Iterable[RunRecord]) -> dict[AccountId, list[Look]]:
    looks: dict[AccountId, list[Look]] = {}
    for run in runs:
        started, finished = datetime.fromisoformat(run.started), datetime.fromisoformat(run.finished)
        for account in run.accounts:
            looks.setdefault(account.account, []).append(Look(started, finished, account.status))
    return looks


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


def _of_jobs(runs: Iterable[RunRecord]) -> History:
    last: dict[str, LastRun] = {}
    ended: dict[str, LastRun] = {}
    for run in runs:
        if run.job:
            started, finished = datetime.fromisoformat(run.started), datetime.fromisoformat(run.finished)
            seen = LastRun(run.job, run.kind, started, finished, run.status)
            last.setdefault(run.job, seen)
            if run.status != "interrupted":
                ended.setdefault(run.job, seen)
    return History(jobs=last, ended=ended)
