"""A proxy that ends the world at one APPEND: before it, within it, before its answer or right after it."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

When = Literal["before", "within", "unanswered", "answered"]
_APPEND = re.compile(rb"(?:\A|\r\n)(\S+) APPEND ")


class AppendCutter:
    """Forwards to a port up to the APPEND of that number, counted over all connections; lets nobody in afterwards."""

    def __init__(self, port: int, number: int, when: When) -> None:
        self._server = port
        self._left = number
        self._when = when
        self._tag = b""
        self.struck = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.struck:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._server))
                for pump in ((client, server, self._command), (server, client, self._answer)):
                    threading.Thread(target=self._pump, args=pump, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, seen: Callable[[bytes], bytes]) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 20):
                sink.sendall(seen(data))
                if self.struck:
                    break
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _command(self, data: bytes) -> bytes:
        """Return what of the client's octets goes on."""
        for found in _APPEND.finditer(data):
            self._left -= 1
            if self._left == 0:
                self._tag = found[1]
                if self._when in ("before", "within"):
                    self.struck = True
                    return data[: found.start()] if self._when == "before" else data[: (found.end() + len(data)) // 2]
        return data

    def _answer(self, data: bytes) -> bytes:
        """Return what of the server's octets goes on; all has reached the server when it answers."""
        found = re.search(rb"(?:\A|\r\n)" + re.escape(self._tag) + rb" .*\r\n", data) if self._tag else None
        if found is None:
            return data
        self.struck = True
        return data[: found.end()] if self._when == "answered" else data[: found.start()]

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()


@contextmanager
def append_cutter(port: int, number: int, when: When) -> Iterator[AppendCutter]:
    """Run a proxy for the length of a test."""
    proxy = AppendCutter(port, number, when)
    try:
        yield proxy
    finally:
        proxy.close()
