"""Being told to stop: the first signal asks for a checkpoint, the second one leaves at once."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from restante.errors import Exit
from restante.output import say, stderr


def insist(_number: int, _frame: FrameType | None) -> None:
    """Leave at once, with nothing to save."""
    raise KeyboardInterrupt


@contextmanager
def stopping(said: str = "stopping: writing a checkpoint; once more to leave at once") -> Iterator[threading.Event]:
    """Give an event that SIGINT and SIGTERM set while the block runs; a second one ends the process, exit code 130."""
    event = threading.Event()

    def heard(_number: int) -> None:
        if event.is_set():
            stderr().show_cursor()
            os._exit(Exit.INTERRUPTED)
        event.set()
        say(said)

    with hearing((signal.SIGINT, signal.SIGTERM), heard):
        yield event


@contextmanager
def hearing(numbers: Sequence[signal.Signals], heard: Callable[[int], None]) -> Iterator[None]:
    """Call `heard` with the number of each of these signals while the block runs, from a thread of its own.

    Python runs a handler only once the main thread wakes up, which it does not where the kernel has given the signal
    to another thread; and a handler that takes a lock may find the main thread holding it. What the interpreter
    writes to a socket at once has neither trouble.
    """
    ear, mouth = socket.socketpair()
    mouth.setblocking(False)

    def listen() -> None:
        for number in iter(lambda: ear.recv(1), b""):
            if number[0] in numbers:
                heard(number[0])

    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    earlier = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, _noted) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(earlier)
        mouth.close()
        listener.join()
        ear.close()


def _noted(_number: int, _frame: FrameType | None) -> None:
    """Keep a signal from doing what it does when nobody hears it."""
