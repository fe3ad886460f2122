"""Retention against a second, naive telling of the same rules, and what no policy may ever do."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.retention import Kept, Policy, Shot, keep, mass_disappearance
from vault.ids import SnapshotId

START = datetime(2024, 2, 27, tzinfo=UTC)
GRACE = timedelta(hours=48)
PERIODS = {"hourly": "%Y%m%d%H", "daily": "%Y%m%d", "weekly": "%G%V", "monthly": "%Y%m", "yearly": "%Y"}


def shot(number: int, hours: float, status: str = "complete", messages: int = 10) -> Shot:
    time = START + timedelta(hours=hours)
    return Shot(SnapshotId(f"s{number}"), time, status, number, messages, time)  # type: ignore[arg-type]


@st.composite
def histories(draw: st.DrawFn) -> list[Shot]:
    gaps = draw(st.lists(st.integers(1, 2000), min_size=1, max_size=60))
    shots, hours = [], 0.0
    for number, gap in enumerate(gaps, 1):
        hours += gap / draw(st.sampled_from([1, 10, 60]))
        shots.append(shot(number, hours, draw(st.sampled_from(["complete", "complete", "partial"]))))
    return shots


policies = st.builds(Policy, *[st.integers(0, 6)] * 6)


def naive(shots: list[Shot], policy: Policy, now: datetime) -> set[str]:
    """Walk from the newest to the oldest, counting down; partial ones in a walk of their own."""
    if not any(getattr(policy, name) for name in ("last", *PERIODS)):
        return {*(s.id for s in shots)}
    kept = {str(shots[-1].id)}
    complete = [s for s in shots if s.status == "complete"]
    kept |= {complete[-1].id} if complete else set()
    kept |= {s.id for s, after in pairwise(shots) if after.written > now - GRACE}
    for status in ("complete", "partial"):
        left = policy.last
        for s in reversed(shots):
            if s.status == status and left > 0:
                kept.add(s.id)
                left -= 1
        for name, form in PERIODS.items():
            taken, left = set[str](), getattr(policy, name)
            for s in reversed(shots):
                period = s.time.strftime(form)
                if s.status == status and period not in taken and left > 0:
                    taken.add(period)
                    kept.add(s.id)
                    left -= 1
    return kept


def ids(verdicts: tuple[Kept, ...]) -> set[str]:
    return {v.id for v in verdicts if v.keep}


@given(histories(), policies, st.integers(0, 5000))
def test_retention_keeps_exactly_what_the_naive_telling_keeps(shots: list[Shot], policy: Policy, later: int) -> None:
    now = shots[-1].time + timedelta(hours=later)
    assert ids(keep(shots, policy, now, grace=GRACE)) == naive(shots, policy, now)


@given(histories(), policies)
def test_no_policy_empties_an_account_or_drops_its_newest_complete_snapshot(shots: list[Shot], policy: Policy) -> None:
    kept = ids(keep(shots, policy, shots[-1].time + timedelta(days=9999), grace=GRACE))
    complete = [s.id for s in shots if s.status == "complete"]
    assert shots[-1].id in kept
    assert not complete or complete[-1] in kept


@given(histories(), policies, st.data())
def test_what_is_on_hold_is_kept_and_says_so(shots: list[Shot], policy: Policy, data: st.DataObject) -> None:
    held = data.draw(st.sets(st.sampled_from([s.id for s in shots])))
    verdicts = {v.id: v for v in keep(shots, policy, shots[-1].time, held, grace=GRACE)}
    assert all(verdicts[one].keep and "on hold" in verdicts[one].rule for one in held)


@given(histories(), policies)
def test_partial_snapshots_never_push_out_a_complete_one(shots: list[Shot], policy: Policy) -> None:
    now = shots[-1].time + timedelta(days=9999)
    complete = [s for s in shots if s.status == "complete"]
    if complete:
        assert ids(keep(complete, policy, now, grace=GRACE)) <= ids(keep(shots, policy, now, grace=GRACE)) | {
            complete[-1].id
        }


@given(histories(), policies)
def test_pruning_again_at_the_same_time_expires_nothing_more(shots: list[Shot], policy: Policy) -> None:
    now = shots[-1].time + timedelta(days=9999)
    kept = ids(keep(shots, policy, now, grace=GRACE))
    assert ids(keep([s for s in shots if s.id in kept], policy, now, grace=GRACE)) == kept


@given(histories(), policies, policies)
def test_a_widened_policy_keeps_what_either_keeps(shots: list[Shot], one: Policy, other: Policy) -> None:
    now = shots[-1].time + timedelta(days=9999)
    both = ids(keep(shots, one, now, grace=GRACE)) | ids(keep(shots, other, now, grace=GRACE))
    assert both <= ids(keep(shots, one.widened(other), now, grace=GRACE))


def test_two_years_of_hours_are_thinned_day_by_day_to_what_the_policy_says() -> None:
    policy, kept = Policy(last=2, hourly=24, daily=7, weekly=4, monthly=12, yearly=5), list[Shot]()
    hours = 2 * 366 * 24
    chance = random.Random(1)
    everything = [shot(n, n, "partial" if chance.random() < 0.05 else "complete") for n in range(1, hours)]
    for day in range(0, hours, 24):
        kept += everything[day : day + 24]
        verdicts = ids(keep(kept, policy, kept[-1].time, grace=GRACE))
        kept = [s for s in kept if s.id in verdicts]
        assert len(kept) < 110
    # Thinned daily or judged once at the end: the same.
    late = kept[-1].time + timedelta(days=9)
    assert ids(keep(kept, policy, late, grace=GRACE)) == naive(everything, policy, late)


@pytest.mark.parametrize(
    "counts, judged, found",
    [
        ([100, 100, 50], 0, None),
        ([100, 49, 49], 0, "s2"),
        ([100, 49, 49], 2, None),
        ([100, 90, 30], 2, "s3"),
        ([0, 0, 5], 0, None),
        ([1, 0], 0, "s2"),
    ],
)
def test_a_mass_disappearance_is_seen_once(counts: list[int], judged: int, found: str | None) -> None:
    shots = [shot(n, n, messages=m) for n, m in enumerate(counts, 1)]
    assert mass_disappearance(shots, judged) == found


def test_partial_snapshots_tell_nothing_of_a_disappearance() -> None:
    shots = [shot(1, 1, messages=100), shot(2, 2, "partial", 1), shot(3, 3, messages=99)]
    assert mass_disappearance(shots) is None
