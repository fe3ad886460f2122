"""INTERNALDATE as two numbers and back, exactly (RFC 9051 §9, date-time)."""

from __future__ import annotations

import calendar
import re
import time

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NUMBER = {name: i + 1 for i, name in enumerate(_MONTHS)}
_FORM = re.compile(r"([ \d]\d)-([A-Z][a-z]{2})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)", re.ASCII)


def parse_internaldate(text: str) -> tuple[int, int] | None:
    """Return seconds since 1970 and the zone in minutes; None where the two would not give the same text again."""
    match = _FORM.fullmatch(text)
    if not match or match[2] not in _NUMBER:
        return None
    day, month, year, hour, minute, second = (
        int(match[1]), _NUMBER[match[2]], int(match[3]), int(match[4]), int(match[5]), int(match[6]),
    )  # fmt: skip
    zone = (int(match[8]) * 60 + int(match[9])) * (-1 if match[7] == "-" else 1)
    if not (1 <= day <= 31 and hour < 24 and minute < 60 and second < 60 and year):
        return None
    epoch = calendar.timegm((year, month, day, hour, minute, second, 0, 0, 0)) - zone * 60
    return (epoch, zone) if format_internaldate(epoch, zone) == text else None


def epoch_of(text: str) -> int | None:
    """Return seconds since 1970 of a date as servers write it, a space before the day or not; None for no date."""
    parsed = parse_internaldate(text.strip().rjust(len("17-Jul-1996 02:44:25 -0700"), "0"))
    return parsed[0] if parsed else None


def format_internaldate(epoch: int, zone: int) -> str:
    """Return the text of a moment in a zone, e.g. `17-Jul-1996 02:44:25 -0700`."""
    t = time.gmtime(epoch + zone * 60)
    sign, minutes = "-" if zone < 0 else "+", abs(zone)
    clock = f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
    return f"{t.tm_mday:02}-{_MONTHS[t.tm_mon - 1]}-{t.tm_year:04} {clock} {sign}{minutes // 60:02}{minutes % 60:02}"
