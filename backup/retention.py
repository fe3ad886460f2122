"""Retention: which snapshots of an account are kept, and by which rule. Pure; nothing here deletes anything.

Rules count periods that have snapshots, not days of the calendar: an account that nothing happened to for a year loses
nothing by it. The newest of a period stands for it. Complete and partial snapshots are judged apart, by the same
rules, so a partial one never pushes a complete one out.

Whatever the policy, these stay: the newest complete snapshot, the newest of all, every snapshot on hold, and every one
that was the newest within the grace period, for a backup under way may build on it (see vault/prune.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from vault.ids import SnapshotId
from vault.model import Status

GONE_AT_ONCE = 0.5
"""The share of an account's messages that may go between two complete snapshots before expiry is suspended."""

_PERIODS: tuple[tuple[str, Callable[[datetime], str]], ...] = (
    ("hourly", lambda t: t.strftime("%Y-%m-%dT%H")),
    ("daily", lambda t: t.strftime("%Y-%m-%d")),
    ("weekly", lambda t: t.strftime("%G-W%V")),
    ("monthly", lambda t: t.strftime("%Y-%m")),
    ("yearly", lambda t: t.strftime("%Y")),
)


@dataclass(frozen=True, slots=True)
class Policy:
    """How many snapshots to keep: the last ones, and one for each of so many hours, days, ISO weeks (all in UTC) ….

    A policy that says nothing keeps everything.
    """

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0

    @property
    def keeps_all(self) -> bool:
        """Whether nothing ever expires."""
        return not any((self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly))

    def widened(self, other: Policy) -> Policy:
        """Return the policy that keeps what either keeps."""
        if self.keeps_all or other.keeps_all:
            return Policy()
        return Policy(*(max(getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Shot:
    """What retention must know of a snapshot. `time` is the writer's clock, `written` the store's."""

    id: SnapshotId
    time: datetime
    status: Status
    sequence: int
    messages: int
    written: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """The verdict on one snapshot; `rule` says why, in words for people."""

    id: SnapshotId
    keep: bool
    rule: str


def keep(
    shots: Collection[Shot], policy: Policy, now: datetime, holds: Collection[SnapshotId] = (), *, grace: timedelta
) -> tuple[Kept, ...]:
    """Judge all snapshots of one account, oldest first; `now` is by the store's clock."""
    ordered = sorted(shots, key=lambda s: (s.sequence, s.time))
    rules: dict[SnapshotId, list[str]] = {shot.id: [] for shot in ordered}
    _note(rules, (s for s in ordered if s.id in holds), "on hold")
    if policy.keeps_all:
        _note(rules, ordered, "no retention is set")
    complete = [s for s in ordered if s.status == "complete"]
    _note(rules, complete[-1:], "newest complete")
    _note(rules, ordered[-1:], "newest")
    for shot, successor in pairwise(ordered):
        if now - successor.written < grace:
            _note(rules, [shot], "newest until lately")
    _apply(rules, policy, complete, "")
    _apply(rules, policy, [s for s in ordered if s.status == "partial"], " of partial ones")
    return tuple(_verdict(shot, rules[shot.id]) for shot in ordered)


def _note(rules: dict[SnapshotId, list[str]], shots: Iterable[Shot], rule: str) -> None:
    for shot in shots:
        rules[shot.id].append(rule)


def _apply(rules: dict[SnapshotId, list[str]], policy: Policy, shots: Sequence[Shot], suffix: str) -> None:
    if policy.last:
        _note(rules, shots[-policy.last :], f"last{suffix}")
    for name, period in _PERIODS:
        found, count = _newest_of_each(shots, period), getattr(policy, name)
        _note(rules, (found[p] for p in sorted(found, reverse=True)[:count]), name + suffix)


def _newest_of_each(shots: Sequence[Shot], period: Callable[[datetime], str]) -> dict[str, Shot]:
    return {period(s.time): s for s in sorted(shots, key=lambda s: (s.time, s.sequence))}


def _verdict(shot: Shot, rules: Sequence[str]) -> Kept:
    return Kept(shot.id, bool(rules), ", ".join(rules) if rules else "no rule keeps it")


def mass_disappearance(shots: Collection[Shot], judged: int = 0) -> SnapshotId | None:
    """Return the first complete snapshot with less than half the messages of the complete one before it, or None.

    Snapshots up to sequence number `judged` were looked at before; of them only the last counts, as what came before.
    """
    complete = sorted((s for s in shots if s.status == "complete"), key=lambda s: (s.sequence, s.time))
    for before, after in pairwise(complete):
        if after.sequence > judged and after.messages < before.messages * (1 - GONE_AT_ONCE):
            return after.id
    return None
