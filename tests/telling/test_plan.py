"""Who hears what: each state once, each recovery once, whatever happens in whatever order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise

from hypothesis import given
from hypothesis import strategies as st

from restante.telling.plan import ABOUT, About, Key, Trouble, What, plan_notices

BEGAN = datetime(2026, 11, 23, tzinfo=UTC)
KEYS = [Key("job", "hourly"), Key("late", "anna"), Key("damage", "")]
WHAT: dict[str, list[What]] = {"job": ["failed", "partial"], "late": ["late"], "damage": ["damage"]}

looks = st.lists(
    st.fixed_dictionaries({}, optional={key: st.sampled_from([None, *WHAT[key.topic]]) for key in KEYS}), max_size=12
)
"""What is seen of each at each look: a state, None for well, or nothing at all."""


def _trouble(key: Key, what: What, number: int) -> Trouble:
    return Trouble(key, what, BEGAN + timedelta(hours=number))


def _heard(
    seen: Sequence[dict[Key, What | None]], about: Sequence[About] = ABOUT, lost: Sequence[bool] = ()
) -> list[tuple[Key, str]]:
    """Return what a channel hears over these looks; where `lost` says so, the message does not arrive."""
    heard: list[tuple[Key, str]] = []
    told: tuple[Trouble, ...] = ()
    for number, look in enumerate(seen):
        now = {key: _trouble(key, what, number) if what else None for key, what in look.items()}
        plan = plan_notices(now, told, about)
        if number < len(lost) and lost[number] and not plan.empty:
            continue
        heard += [(t.key, "over") for t in plan.over] + [(t.key, t.what) for t in plan.begun]
        told = plan.told
    return heard


def _expected(states: Sequence[What | None]) -> Sequence[str]:
    """Return what should be heard of one thing: each change, beginning with well."""
    return [state or "over" for state, _ in groupby([None, *states])][1:]


@given(looks)
def test_each_state_is_told_once_and_each_recovery_once(seen: list[dict[Key, What | None]]) -> None:
    heard = _heard(seen)
    for key in KEYS:
        states = [look[key] for look in seen if key in look]
        assert [word for k, word in heard if k == key] == _expected(states)


@given(looks, st.lists(st.booleans(), max_size=12))
def test_what_was_lost_is_told_at_the_next_occasion(
    seen: list[dict[Key, What | None]], lost: list[bool]
) -> None:  # fmt: skip
    last = {key: look[key] for look in seen for key in look}
    heard = _heard([*seen, last], lost=lost[: len(seen)])
    for key, state in last.items():
        words = [word for k, word in heard if k == key]
        assert (words[-1] if words else "over") == (state or "over")
        assert all(one != other for one, other in pairwise(words))


@given(looks)
def test_nothing_is_told_at_a_second_look_at_the_same(seen: list[dict[Key, What | None]]) -> None:
    assert _heard([look for look in seen for _ in range(2)]) == _heard(seen)


@given(looks, st.sets(st.sampled_from(ABOUT), min_size=1))
def test_only_what_is_asked_for_is_told(seen: list[dict[Key, What | None]], about: set[About]) -> None:
    words = {word for _, word in _heard(seen, sorted(about))}
    assert words <= {"over" if word == "recovered" else word for word in about}


@given(looks)
def test_what_is_told_at_once_is_told_in_one_plan(seen: list[dict[Key, What | None]]) -> None:
    told: tuple[Trouble, ...] = ()
    for number, look in enumerate(seen):
        plan = plan_notices({k: _trouble(k, w, number) if w else None for k, w in look.items()}, told)
        told = plan.told
        assert {t.key for t in plan.begun}.isdisjoint({t.key for t in plan.over})
        assert len({t.key for t in told}) == len(told)


def test_a_trouble_that_is_still_there_keeps_the_time_it_began() -> None:
    first, later = (_trouble(KEYS[0], "failed", number) for number in (1, 5))
    assert plan_notices({KEYS[0]: later}, [first]).told == (first,)
