"""INTERNALDATE for messages whose server has none."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HEAD = 64 << 10
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_RECEIVED = re.compile(rb"(?im)^Received[ \t]*:[^\r\n]*;([^;\r\n]*)")
_DATE = re.compile(rb"(?im)^Date[ \t]*:([^\r\n]*)")


def received_date(octets: bytes) -> str:
    """Return when a message came, as INTERNALDATE: by its newest Received line, else by Date; empty where neither says.

    The newest Received line is the first one (RFC 5321 §4.4).
    """
    head = re.split(rb"\r?\n\r?\n", octets[:_HEAD], maxsplit=1)[0]
    plain = _FOLD.sub(b"", head)
    for pattern in (_RECEIVED, _DATE):
        found = pattern.search(plain)
        if found and (date := _internaldate(found[1].decode("latin-1"))):
            return date
    return ""


def _internaldate(text: str) -> str:
    try:
        when = parsedate_to_datetime(text.strip())
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        zone = when.strftime("%z")[:5]
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
    if not 1 <= when.year <= 9999 or len(zone) != 5:
        return ""
    return f"{when.day:02d}-{_MONTHS[when.month - 1]}-{when.year:04d} {when:%H:%M:%S} {zone}"
