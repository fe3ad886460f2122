"""`ACCOUNT[@TIME]`, where account names may hold an `@` themselves."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple

from restante.errors import UsageTrouble
from vault.ids import SNAPSHOT_ID


class Wanted(NamedTuple):
    """An account, and the moment at which it is wanted: `latest`, an ISO date or time, or a snapshot id."""

    account: str
    when: str = "latest"


def wanted(text: str) -> Wanted:
    """Split `ACCOUNT[@TIME]`: what stands behind the last `@` is a time only where it looks like one."""
    account, _, when = text.rpartition("@")
    return Wanted(account, when) if account and _is_time(when) else Wanted(text)


def _is_time(text: str) -> bool:
    if text == "latest" or SNAPSHOT_ID.fullmatch(text):
        return True
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def day(text: str) -> date:
    """Return a date given as YYYY-MM-DD. Raises UsageTrouble."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageTrouble(f"{text} is not a date", hint="write it as YYYY-MM-DD, e.g. 2026-11-23") from None
