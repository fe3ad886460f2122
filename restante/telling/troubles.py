"""What is not well, read from run records, snapshots and the census of a vault. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise, takewhile

from restante.history import History
from restante.judging import Verdict, judge
from restante.output import duration, utc
from restante.telling.plan import Key, Trouble, What
from vault.ids import AccountId, SnapshotId
from vault.records import RunRecord, stamp_of

SHOWN = 20
States = Mapping[Key, Trouble | None]
"""What is known: a trouble, or None where all is well."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to judge by.

    `runs` are all run records, the newest first. `suspended` has each account of the census with the snapshot in which
    most of its mail was gone, or None. An account that was never backed up completely is not late before `patience`.
    """

    history: History
    runs: Sequence[RunRecord]
    promised: Mapping[str, timedelta | None]
    jobs: Collection[str]
    suspended: Mapping[AccountId, SnapshotId | None]
    patience: datetime | None = None

    @property
    def names(self) -> dict[AccountId, str]:
        """What the accounts of the vault and of the configuration are called."""
        return {standing.id: name for name, standing in self.history.accounts.items() if standing.id}


def states_of(scene: Scene, now: datetime) -> dict[Key, Trouble | None]:
    """Return all that can be known now."""
    backups = [run for run in scene.runs if run.accounts and run.status != "interrupted"]
    return {
        **{key: _job_state(key, runs, scene) for key, runs in _jobs(scene).items()},
        **_damage([run for run in scene.runs if run.kind == "check" and run.status in {"complete", "damaged"}]),
        **late_states(scene, now),
        **_suspended(scene),
        **_gone(backups, scene),
    }


def _jobs(scene: Scene) -> dict[Key, list[RunRecord]]:
    found: dict[Key, list[RunRecord]] = {}
    for run in scene.runs:
        if run.kind == "notify" or run.status == "interrupted" or (run.job and run.job not in scene.jobs):
            continue
        key = Key("job", run.job) if run.job else Key("run", run.kind or "backup")
        found.setdefault(key, []).append(run)
    return found


def _job_state(key: Key, runs: Sequence[RunRecord], scene: Scene) -> Trouble | None:
    newest, bad = runs[0], _not_well(runs, scene)
    what = _what(newest) or ("partial" if bad else None)
    if what is None:
        return None
    streak = list(takewhile(_what, runs)) or [newest]
    detail, hint = f"The error: {newest.error}" if newest.error else "", newest.hint
    if bad:
        detail = f"Not backed up as a whole: {_shown(bad)}"
    elif newest.kind == "prune" and what == "partial":
        detail, hint = "The store refused to extend locks", "give the right s3:PutObjectRetention (docs/permissions.md)"
    return Trouble(key, what, datetime.fromisoformat(streak[-1].finished), detail, hint)


def _what(run: RunRecord) -> What | None:
    if run.status in {"", "complete"} or (run.kind == "check" and run.status == "damaged"):
        return None  # damage is a state of the vault, not of the check that found it
    if run.kind == "drill":
        return "drill"
    return "damage" if run.status == "damaged" else "partial" if run.status == "partial" else "failed"


def _not_well(runs: Iterable[RunRecord], scene: Scene) -> list[str]:
    """Return who did not go well when a run last looked, and why: by hand, each run may look at others."""
    newest: dict[AccountId, tuple[str, str]] = {}
    for run in runs:
        for account in run.accounts:
            newest.setdefault(account.account, (account.status, run.reasons.get(account.account, "")))
    names = scene.names
    bad = {names.get(account, ""): why for account, (how, why) in newest.items() if how in {"partial", "failed"}}
    return [f"{name} ({why})" if why else name for name, why in sorted(bad.items()) if name in scene.promised]


def _damage(checks: Iterable[RunRecord]) -> States:
    """Judge the vault. What was found by reading is over only once everything was read and found good."""
    found: list[RunRecord] = []
    clean = over = False
    for run in checks:
        share = run.check.share if run.check else 0.0
        if run.status == "damaged":
            stands = share > 0 or not clean
            over = over or not stands
            found += [run] if stands else []
        else:
            clean = True
            if share >= 1:
                over = True
                break
    key = Key("damage", "")
    if not found:
        return {key: None} if over else {}
    damaged = found[0].check.damaged if found[0].check else 0
    detail = f"{damaged:,} damaged or missing objects when last looked" if damaged else ""
    return {key: Trouble(key, "damage", datetime.fromisoformat(found[-1].finished), detail)}


def late_states(scene: Scene, now: datetime) -> States:
    """Judge every account of the configuration by its RPO."""
    judged = ((Key("late", v.account), v) for v in judge(scene.promised, scene.history, now))
    return {key: _late(key, verdict, now) for key, verdict in judged if not _too_early(verdict, scene, now)}


def _late(key: Key, verdict: Verdict, now: datetime) -> Trouble | None:
    if not verdict.late or verdict.rpo is None:
        return None
    complete = verdict.standing.complete
    promised = duration(verdict.rpo.total_seconds())
    told = f"newest complete snapshot: {utc(complete) or 'none'}; at most {promised} old was promised"
    return Trouble(key, "late", complete + verdict.rpo if complete else now, told)


def _too_early(verdict: Verdict, scene: Scene, now: datetime) -> bool:
    new = verdict.standing.complete is None and verdict.rpo is not None and scene.patience is not None
    return new and now <= scene.patience + verdict.rpo  # type: ignore[operator]


def _suspended(scene: Scene) -> States:
    names = scene.names
    found: dict[Key, Trouble | None] = {}
    for account, snapshot in scene.suspended.items():
        key = Key("expiry", names.get(account, ""))
        if key.subject:
            found[key] = Trouble(key, "suspended", stamp_of(snapshot)) if snapshot else None
    return found


def _gone(backups: Sequence[RunRecord], scene: Scene) -> States:
    """Find who was looked at by one run of a job and not by its next one, nor by any since, and is not configured."""
    names = scene.names
    newest = {run.job: run for run in reversed(backups)}.values()
    looked_at = {names[one.account] for run in newest for one in run.accounts if one.account in names}
    here: States = {Key("gone", name): None for name in {*scene.promised, *looked_at}}
    seen: dict[AccountId, datetime] = {}
    for run in backups:
        for account in run.accounts:
            seen.setdefault(account.account, datetime.fromisoformat(run.finished))
    gone: dict[Key, Trouble | None] = {}
    for one, when in _left_out(backups, scene):
        standing = scene.history.accounts.get(names.get(one, ""))
        if standing is not None and standing.newest is not None and seen[one] < when:
            key = Key("gone", names[one])
            gone.setdefault(key, Trouble(key, "vanished", when))
    return {**gone, **here}


def _left_out(backups: Sequence[RunRecord], scene: Scene) -> Iterator[tuple[AccountId, datetime]]:
    jobs = {run.job for run in backups if run.job in scene.jobs or not run.job}
    for job in jobs if scene.promised else ():
        for later, earlier in pairwise([run for run in backups if run.job == job]):
            now = {account.account for account in later.accounts}
            for account in earlier.accounts:
                if account.account not in now:
                    yield account.account, datetime.fromisoformat(later.finished)


def _shown(names: Sequence[str]) -> str:
    more = f", and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
