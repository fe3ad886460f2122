"""Calls between two processes, both ways over one pipe."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection
from typing import Any

from vault.errors import Trouble


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
        with suppress(EOFError, OSError):
            while True:
                number, what, said = self._pipe.recv()
                if what == "answer":
                    self._waiting.pop(number).set_result(said)
                elif what == "error":
                    self._waiting.pop(number).set_exception(said)
                else:
                    threading.Thread(target=self._do, args=(number, what, said), name=what, daemon=True).start()
        with self._lock:
            self._open, waiting = False, list(self._waiting.values())
        self._lost()
        for future in waiting:
            future.set_exception(_gone())

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
            said: tuple[str, object] = ("answer", self._doing[what](*arguments))
        except Exception as error:  # noqa: BLE001 raised again where it was asked for
            said = ("error", error)
        self._send(number, *said)

    def _send(self, number: int, what: str, said: object) -> None:
        with self._lock, suppress(OSError):  # whoever listens will see that the other end is gone
            self._pipe.send((number, what, said))


def _gone() -> ProcessLost:
    hint = "run it again: it goes on from its last checkpoint; `limits.processes: 1` does without other processes"
    return ProcessLost("a process that read accounts ended by itself", hint=hint)
