"""Time and progress, passed in rather than reached for."""

from __future__ import annotations

import threading
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


class Stopped(Exception):
    """Work was told to end, and has nothing to save."""


class Stoppable:
    """Progress that ends work which has nothing to save, by raising Stopped."""

    def __init__(self, inner: Progress, stop: threading.Event) -> None:
        self._inner = inner
        self._stop = stop

    def expect(self, account: str, messages: int, octets: int) -> None:
        """Pass it on, or raise Stopped."""
        self._look()
        self._inner.expect(account, messages, octets)

    def advance(self, account: str, messages: int, octets: int) -> None:
        """Pass it on, or raise Stopped."""
        self._look()
        self._inner.advance(account, messages, octets)

    def _look(self) -> None:
        if self._stop.is_set():
            raise Stopped
