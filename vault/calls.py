"""Calls between two processes, both ways over one pipe."""

from __future__ import annotations

import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from itertools import count
from multiprocessing.connection import Connection
from typing import Any

from vault.errors import Trouble

_TO_ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What a terminal sends to all processes, and a supervisor may; whoever started a process says when it stops."""


@contextmanager
def sheltered() -> Iterator[None]:
    """Start a process that hears none of these signals, not even before it can ignore them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TO_ALL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_signals() -> None:
    """Ignore them from now on: the first thing such a process does."""
    for one in _TO_ALL:
        signal.signal(one, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TO_ALL)


class ProcessLost(Trouble):
    """A process can't be started, or ended by itself while something was asked of it."""


class Calls:
    """One end of the pipe.

    `doing` is what the other end may ask for, by name; each call has a thread of its own. `lost` is called once the
    other end is gone, before whoever waits for it learns of that.
    """

    def __init__(
        self, pipe: Connection, doing: Mapping[str, Callable[..., object]], lost: Callable[[], object]
    ) -> None:
        self._pipe = pipe
        self._doing = doing
        self._lost = lost
        self._lock = threading.Lock()
        self._numbers = count()
        self._waiting: dict[int, Future[Any]] = {}
        self._open = True

    def listen(self) -> None:
        """Take calls and answers until the other end is gone."""
        try:
            with suppress(EOFError, OSError):
                while True:
                    self._take(*self._pipe.recv())
        finally:
            with self._lock:
                self._open, waiting = False, list(self._waiting.values())
            self._lost()
            for future in waiting:
                future.set_exception(_gone())

    def _take(self, number: int, what: str, said: Any) -> None:
        if what == "answer":
            self._waiting.pop(number).set_result(said)
        elif what == "error":
            self._waiting.pop(number).set_exception(said)
        else:
            threading.Thread(target=self._do, args=(number, what, said), name=what, daemon=True).start()

    def begin(self, what: str, *arguments: object) -> Future[Any]:
        """Ask for something to be done. The answer, or the error that was raised there, comes with the future."""
        future: Future[Any] = Future()
        with self._lock:
            if not self._open:
                raise _gone()
            number = next(self._numbers)
            self._waiting[number] = future
        self._send(number, what, arguments)
        return future

    def ask(self, what: str, *arguments: object) -> Any:
        """Have something done, and return what came of it. Raises what was raised there, or ProcessLost."""
        return self.begin(what, *arguments).result()

    def _do(self, number: int, what: str, arguments: tuple[Any, ...]) -> None:
        try:
            self._send(number, "answer", self._doing[what](*arguments))
        except Exception as error:  # noqa: BLE001 raised again where it was asked for
            self._send(number, "error", _portable(error))

    def _send(self, number: int, what: str, said: object) -> None:
        with self._lock, suppress(OSError):  # whoever listens will see that the other end is gone
            self._pipe.send((number, what, said))


def _portable(error: Exception) -> Exception:
    """Return an error that reaches the other end: itself, or where it can't be sent, what it was."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 our own
    except Exception:  # noqa: BLE001 whatever keeps it from being sent
        return RuntimeError(f"{type(error).__name__} in a process that read accounts")
    return error


def _gone() -> ProcessLost:
    hint = "run it again: it goes on from its last checkpoint; `limits.processes: 1` does without other processes"
    return ProcessLost("a process that read accounts ended by itself", hint=hint)
