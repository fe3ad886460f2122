"""Dates of mail for a listing; nothing a stranger wrote makes this fail."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from vault.internaldate import epoch_of


def header_date(raw: str) -> datetime | None:
    """Return the time a Date header tells (RFC 5322 §3.3), in UTC, or None."""
    try:
        moment = parsedate_to_datetime(raw)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def internal_date(raw: str) -> datetime | None:
    """Return the time an INTERNALDATE tells (RFC 9051 §9, `date-time`), in UTC, or None."""
    epoch = epoch_of(raw)
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC)
