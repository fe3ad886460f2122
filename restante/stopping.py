"""Being told to stop: the first signal asks for a checkpoint, the second one insists."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from restante.output import say


def insist(_number: int, _frame: FrameType | None) -> None:
    """Leave at once, with nothing to save."""
    raise KeyboardInterrupt


@contextmanager
def stopping(said: str = "stopping: writing a checkpoint; once more to leave at once") -> Iterator[threading.Event]:
    """Give an event that SIGINT and SIGTERM set while the block runs."""
    event = threading.Event()

    def heard(number: int, frame: FrameType | None) -> None:
        if event.is_set():
            insist(number, frame)
        event.set()
        say(said)

    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
