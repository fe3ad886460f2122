"""When a job runs: cron as Debian means it, or every so often; and what is due after the service was away."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from apscheduler.triggers.base import BaseTrigger

    from restante.config import Schedule

DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_span(text: str) -> timedelta:
    """Return what `90s`, `15m`, `1h`, `2d` or `1w` means. Raises ValueError."""
    found = re.fullmatch(r"([1-9]\d{0,8})\s*([smhdw])", text.strip())
    if found is None:
        raise ValueError(text)
    return timedelta(seconds=int(found[1]) * UNITS[found[2]])


def cron_trigger(expression: str, zone: str, jitter: timedelta | None = None) -> BaseTrigger:
    """Return what fires at the times of a crontab line's five fields. Raises ValueError with what is wrong."""
    from apscheduler.triggers.cron import CronTrigger

    fields = expression.split()
    if len(fields) != 5:
        raise ValueError("it has five fields: minute, hour, day of month, month, day of week")
    minute, hour, day, month, weekday = fields
    if day != "*" and weekday != "*":
        raise ValueError("day of month and day of week are both set, which cron systems read differently")
    trigger = CronTrigger(
        minute=minute, hour=hour, day=day, month=month, day_of_week=_weekdays(weekday), timezone=ZoneInfo(zone),
        jitter=_seconds(jitter),
    )  # fmt: skip
    if trigger.get_next_fire_time(None, SOME_DAY) is None:
        raise ValueError("no such day ever comes")
    return trigger


def _weekdays(field: str) -> str:
    """Return days by name: cron counts them from Sunday, APScheduler from Monday."""
    found = {number % 7 for item in field.lower().split(",") for number in _days(item)}
    return "*" if len(found) == 7 else ",".join(DAYS[number] for number in sorted(found))


def _days(item: str) -> range:
    span, _, step = item.partition("/")
    first, _, last = span.partition("-")
    if span == "*":
        return range(0, 7, int(step or 1))
    begin = _day(first)
    end = (_day(last) or 7) if last else 6 if step else begin
    if end < begin:
        raise ValueError(f'"{item}" ends before it begins')
    return range(begin, end + 1, int(step or 1))


def _day(text: str) -> int:
    if text in DAYS:
        return DAYS.index(text)
    if not text.isdecimal() or int(text) > 7:
        raise ValueError(f'"{text}" is no day of the week: write 0 (Sunday) to 7, or sun to sat')
    return int(text)


def trigger_of(schedule: Schedule, first: datetime) -> BaseTrigger:
    """Return what fires for a schedule; one that counts an interval counts it from `first`."""
    if schedule.cron is not None:
        return cron_trigger(schedule.cron, schedule.timezone, schedule.jitter)
    from apscheduler.triggers.interval import IntervalTrigger

    assert schedule.every is not None
    seconds = int(schedule.every.total_seconds())
    return IntervalTrigger(
        seconds=seconds, start_date=first, timezone=ZoneInfo(schedule.timezone), jitter=_seconds(schedule.jitter)
    )


def first_time(schedule: Schedule, last: datetime | None, now: datetime) -> datetime:
    """Return when a job runs first, `last` being when its last run that came to an end began.

    What was missed meanwhile is made up once, at once. Without a last run, an interval begins now, and cron waits for
    its time.
    """
    if last is None:
        return now if schedule.cron is None else _next(schedule, now)
    last = min(last, now)  # a clock that was wrong must not silence a job
    due = last + schedule.every if schedule.every is not None else _next(schedule, last)
    return max(due, now)


def _next(schedule: Schedule, after: datetime) -> datetime:
    trigger = trigger_of(schedule, after)
    found: datetime = trigger.get_next_fire_time(None, after + timedelta(seconds=1))
    return found


def _seconds(span: timedelta | None) -> int | None:
    return int(span.total_seconds()) if span is not None else None
