"""A wire to a server whose every answer is known beforehand: for millions of conversations without a socket."""

from __future__ import annotations

import io
import socket
from typing import cast

from imap.wire import Wire


class Deaf:
    """What a socket is to a wire; takes all that is sent, and has its answers ready."""

    def __init__(self, answers: bytes = b"") -> None:
        self._answers = answers

    def makefile(self, _: str) -> io.BytesIO:
        return io.BytesIO(self._answers)

    def sendall(self, _: bytes) -> None:
        pass

    def settimeout(self, _: float) -> None:
        pass

    def setsockopt(self, *_: int) -> None:
        pass

    def send(self, data: bytes) -> int:
        return len(data)

    def shutdown(self, _: int) -> None:
        pass

    def close(self) -> None:
        pass


def canned(answers: bytes, *, exists: int = 9) -> Wire:
    """Return a wire on which the server has said all it will say; its first command has the tag R1."""
    wire = Wire(cast("socket.socket", Deaf()), io.BytesIO(answers), timeout=1)
    wire.exists = exists
    wire.literal_limit = 1 << 62
    return wire
