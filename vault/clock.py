"""Time and progress, passed in rather than reached for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the current time, with zone UTC."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current time, with zone UTC."""
        return datetime.now(UTC)


class Progress(Protocol):
    """Hears how far long work has come. Called from several threads."""

    def expect(self, account: str, messages: int, octets: int) -> None:
        """Learn that so much more work has been found for an account."""

    def advance(self, account: str, messages: int, octets: int) -> None:
        """Learn that so much of it has been done."""


class Quiet:
    """Progress that nobody watches."""

    def expect(self, account: str, messages: int, octets: int) -> None:
        """Ignore it."""

    def advance(self, account: str, messages: int, octets: int) -> None:
        """Ignore it."""
