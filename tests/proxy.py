"""A TCP proxy on loopback that cuts connections, to see what a lost server does to us."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class CuttingProxy:
    """Forwards to a port. Each new connection takes the next limit: octets from the server until it is cut.

    With `stall` the connection is not cut but falls silent, and `stalled` is set.
    """

    def __init__(self, port: int, limits: list[int], *, stall: bool = False) -> None:
        self._target = port
        self._limits = limits
        self._stall = stall
        self.stalled = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.most_at_once = 0
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                limit = self._limits[self.connections] if self.connections < len(self._limits) else None
                self.connections += 1
                self._open.add(client)
                self.most_at_once = max(self.most_at_once, len(self._open))
                server = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._pump, args=(client, server, None), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, limit), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if limit is not None:
                    data, limit = data[:limit], limit - len(data[:limit])
                sink.sendall(data)
                if limit == 0:
                    if self._stall:
                        self.stalled.set()
                        return
                    break
        self._open -= {source, sink}
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()


@contextmanager
def cutting_proxy(port: int, limits: list[int], *, stall: bool = False) -> Iterator[CuttingProxy]:
    """Run a proxy for the length of a test."""
    proxy = CuttingProxy(port, limits, stall=stall)
    try:
        yield proxy
    finally:
        proxy.close()
