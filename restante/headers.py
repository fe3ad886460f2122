"""Raw header values made readable for a listing; nothing a stranger wrote makes this fail."""

from __future__ import annotations

import email.header
import re
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.utils import parsedate_to_datetime


def readable(raw: str) -> str:
    """Decode encoded words (RFC 2047); what can't be decoded stays as it is."""
    text = re.sub(r"\s+", " ", raw).strip()
    if "=?" not in text:
        return text
    try:
        return str(email.header.make_header(email.header.decode_header(text)))
    except (HeaderParseError, ValueError, LookupError):
        return text


def header_date(raw: str) -> datetime | None:
    """Return the time a Date header tells (RFC 5322 §3.3), in UTC, or None."""
    try:
        moment = parsedate_to_datetime(raw)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def internal_date(raw: str) -> datetime | None:
    """Return the time an INTERNALDATE tells (RFC 9051 §9, `date-time`), in UTC, or None."""
    try:
        return datetime.strptime(raw.strip(), "%d-%b-%Y %H:%M:%S %z").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
