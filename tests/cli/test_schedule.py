"""When jobs run: cron as Debian's cron reads it, intervals, and what is due after the service was away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.config import Schedule
from restante.schedule import cron_trigger, first_time, parse_span, trigger_of
from restante.validation import read_section

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)


def schedule(**settings: str) -> Schedule:
    found = read_section(Schedule, settings, [])
    assert found is not None
    return found


def times(expression: str, count: int, zone: str = "UTC", begin: datetime = NOW) -> list[str]:
    trigger, now, found = cron_trigger(expression, zone), begin, []
    for _ in range(count):
        now = trigger.get_next_fire_time(None, now + timedelta(seconds=1))
        found.append(now.astimezone(UTC).strftime("%a %d %H:%M"))
    return found


@pytest.mark.parametrize(
    "weekday, days",
    [
        ("0", "Sun Sun"), ("7", "Sun Sun"), ("sun", "Sun Sun"), ("1", "Mon Mon"), ("1-5", "Tue Wed Thu Fri Mon"),
        ("sat,sun", "Sat Sun Sat"), ("0-6", "Tue Wed Thu Fri Sat Sun Mon"), ("5-7", "Fri Sat Sun Fri"),
        ("*/2", "Tue Thu Sat Sun"), ("Mon-Wed/2", "Wed Mon"), ("fri-sun", "Fri Sat Sun"),
    ],
)  # fmt: skip
def test_days_of_the_week_are_counted_from_sunday_as_cron_does(weekday: str, days: str) -> None:
    wanted = days.split()
    assert [each.split()[0] for each in times(f"30 2 * * {weekday}", len(wanted))] == wanted


def test_cron_means_the_local_time_of_its_zone_in_summer_and_winter() -> None:
    assert times("15 2 * * *", 1, "Europe/Vienna") == ["Tue 24 01:15"]
    assert times("15 2 * * *", 1, "Europe/Vienna", datetime(2026, 7, 1, tzinfo=UTC)) == ["Wed 01 00:15"]


def test_the_hour_that_a_change_to_summer_time_leaves_out_loses_no_night() -> None:
    before = datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert len({each.split()[1] for each in times("30 2 * * *", 3, "Europe/Vienna", before)}) == 3


@pytest.mark.parametrize(
    "wrong",
    ["* * * *", "60 * * * *", "0 0 1 * 1", "0 0 * * 8", "0 0 * * 5-1", "* * * * */0", "a * * * *", "0 0 31 2 *"],
)
def test_what_is_no_cron_expression_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError):
        cron_trigger(wrong, "UTC")


def test_spans_of_time_are_read() -> None:
    assert [parse_span(text).total_seconds() for text in ("90s", "15m", "1h", "2d", "1w")] == [
        90,
        900,
        3600,
        172800,
        604800,
    ]


def test_an_interval_begins_now_and_cron_waits_for_its_time_when_nothing_ever_ran() -> None:
    assert first_time(schedule(every="1h"), None, NOW) == NOW
    assert first_time(schedule(cron="0 3 * * *"), None, NOW) == NOW + 15 * HOUR


def test_what_is_not_due_yet_keeps_its_time_over_a_restart() -> None:
    assert first_time(schedule(every="1h"), NOW - timedelta(minutes=20), NOW) == NOW + timedelta(minutes=40)
    assert first_time(schedule(cron="0 3 * * *"), NOW - 9 * HOUR, NOW) == NOW + 15 * HOUR


@pytest.mark.parametrize("settings", [{"every": "1h"}, {"cron": "0 3 * * *"}])
@pytest.mark.parametrize("days", [2, 400])
def test_however_many_turns_were_missed_one_is_made_up_at_once(settings: dict[str, str], days: int) -> None:
    assert first_time(schedule(**settings), NOW - timedelta(days=days), NOW) == NOW


@given(
    ago=st.integers(-10_000_000, 10_000_000),
    settings=st.sampled_from([{"every": "1h"}, {"every": "1d"}, {"cron": "7 * * * *"}, {"cron": "0 3 * * *"}]),
)
def test_no_clock_however_wrong_silences_a_job_or_makes_it_run_in_the_past(ago: int, settings: dict[str, str]) -> None:
    first = first_time(schedule(**settings), NOW - timedelta(seconds=ago), NOW)
    assert NOW <= first <= NOW + timedelta(days=1)


def test_an_interval_counts_from_its_first_run() -> None:
    trigger = trigger_of(schedule(every="90m"), NOW)
    assert trigger.get_next_fire_time(NOW, NOW) == NOW + 1.5 * HOUR


@given(st.integers(0, 1_000))
def test_jitter_only_ever_delays_and_never_beyond_its_bound(seconds: int) -> None:
    now = NOW + timedelta(seconds=seconds)
    calm, jittered = (trigger_of(schedule(cron="0 * * * *", **more), now) for more in ({}, {"jitter": "5m"}))
    due, late = (trigger.get_next_fire_time(None, now) for trigger in (calm, jittered))
    assert due <= late <= due + timedelta(minutes=5)
