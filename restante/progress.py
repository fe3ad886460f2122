"""Progress: bars on a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from restante.logs import set_up_logs
from restante.output import printable, stderr
from vault.clock import Progress as Heard
from vault.clock import Quiet

if TYPE_CHECKING:  # what draws and what logs is imported by who does: runs with --json do neither
    from rich.progress import Progress, TaskID

EVERY_SECONDS = 10.0


class Bars:
    """One bar for each account under way."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, tuple[TaskID, int, int]] = {}
        self._lock = threading.Lock()

    def expect(self, account: str, messages: int, octets: int) -> None:
        """Lengthen an account's bar."""
        self._move(account, messages, octets, 0, 0)

    def advance(self, account: str, messages: int, octets: int) -> None:
        """Fill an account's bar."""
        self._move(account, 0, 0, messages, octets)

    def _new_task(self, account: str) -> TaskID:
        # It may be drawn at once, so every field that a column shows must be there.
        return self._progress.add_task(printable(account), total=0, messages="")

    def _move(self, account: str, expected: int, expected_octets: int, done: int, done_octets: int) -> None:
        with self._lock:
            task, total, finished = self._tasks.get(account) or (self._new_task(account), 0, 0)
            total, finished = total + expected, finished + done
            self._tasks[account] = (task, total, finished)
            current = next(t for t in self._progress.tasks if t.id == task)
            octets = max((current.total or 0) + expected_octets, current.completed + done_octets)
            said = f"{finished:,}/{total:,}"
            self._progress.update(task, total=octets, completed=current.completed + done_octets, messages=said)


class Lines:
    """A log line at most every ten seconds, with totals only."""

    def __init__(self, verb: str, **said: str) -> None:
        import structlog

        self._log = structlog.get_logger().bind(**said)
        self._verb = verb
        self._lock = threading.Lock()
        self._expected = self._done = self._octets = 0
        self._due = time.monotonic() + EVERY_SECONDS

    def expect(self, account: str, messages: int, octets: int) -> None:  # noqa: ARG002  (no account in a log)
        """Count what was found."""
        with self._lock:
            self._expected += messages

    def advance(self, account: str, messages: int, octets: int) -> None:  # noqa: ARG002
        """Count what was done, and say so when it is time."""
        with self._lock:
            self._done += messages
            self._octets += octets
            if time.monotonic() < self._due:
                return
            self._due = time.monotonic() + EVERY_SECONDS
            said = {"messages": self._done, "of": max(self._expected, self._done), "bytes": self._octets}
        self._log.info(self._verb, **said)


def _bars() -> Progress:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    name, done = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[messages]}")
    return Progress(
        name,
        BarColumn(),
        done,
        DownloadColumn(binary_units=True),
        TimeRemainingColumn(),
        console=stderr(),
        transient=True,
    )


@contextmanager
def watched(verb: str, *, quiet: bool = False) -> Iterator[Heard]:
    """Give a Progress that shows itself on stderr while the block runs; `verb` is what is being done."""
    if quiet:
        yield Quiet()
    elif sys.stderr.isatty():
        with _bars() as bars:
            yield Bars(bars)
    else:
        set_up_logs()
        yield Lines(verb)
