"""INTERNALDATE as two numbers and back, exactly (RFC 9051 §9, date-time)."""

from __future__ import annotations

import calendar
import re
import time
from functools import lru_cache

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NUMBER = {name: i + 1 for i, name in enumerate(_MONTHS)}
_FORM = re.compile(r"([ \d]\d-[A-Z][a-z]{2}-\d{4}) (\d\d):(\d\d):(\d\d) ([+-]\d{4})", re.ASCII)
_SECONDS = 86_400


def parse_internaldate(text: str) -> tuple[int, int] | None:
    """Return seconds since 1970 and the zone in minutes; None where the two would not give the same text again."""
    match = _FORM.fullmatch(text)
    if not match:
        return None
    day, hour, minute, second, zone = _day(match[1]), int(match[2]), int(match[3]), int(match[4]), _minutes(match[5])
    if day is None or zone is None or not (hour < 24 and minute < 60 and second < 60):
        return None
    return ((day * 24 + hour) * 60 + minute - zone) * 60 + second, zone


def epoch_of(text: str) -> int | None:
    """Return seconds since 1970 of a date as servers write it, a space before the day or not; None for no date."""
    parsed = parse_internaldate(text.strip().rjust(len("17-Jul-1996 02:44:25 -0700"), "0"))
    return parsed[0] if parsed else None


def format_internaldate(epoch: int, zone: int) -> str:
    """Return the text of a moment in a zone, e.g. `17-Jul-1996 02:44:25 -0700`."""
    minutes, second = divmod(epoch + zone * 60, 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    return f"{_date(day)} {hour:02}:{minute:02}:{second:02} {_zone(zone)}"


# Mail comes by the day and from few zones, so that few of either are read or written anew.
@lru_cache(maxsize=256)
def _zone(minutes: int) -> str:
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"


@lru_cache(maxsize=256)
def _minutes(text: str) -> int | None:
    """Return the minutes of a zone; None where they would not give the same text again."""
    minutes = (int(text[1:3]) * 60 + int(text[3:])) * (-1 if text[0] == "-" else 1)
    return minutes if _zone(minutes) == text else None


@lru_cache(maxsize=4096)
def _day(text: str) -> int | None:
    """Return the days since 1970 of a date; None where they would not give the same text again."""
    day, month, year = int(text[:2]), _NUMBER.get(text[3:6]), int(text[7:])
    if not month or not 1 <= day <= 31 or not year:
        return None
    days = calendar.timegm((year, month, day, 0, 0, 0, 0, 0, 0)) // _SECONDS
    return days if _date(days) == text else None


@lru_cache(maxsize=4096)
def _date(day: int) -> str:
    t = time.gmtime(day * _SECONDS)
    return f"{t.tm_mday:02}-{_MONTHS[t.tm_mon - 1]}-{t.tm_year:04}"
