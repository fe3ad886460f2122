"""A longer way to a server: a TCP proxy on loopback that delays, limits nothing, and counts what goes by.

Each direction is held up by half of the round trip, and a new connection by a whole one, as its handshake would be.
What it does not have is TCP's slow start, losses, or a bound on how much is on its way.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields

PIECE = 1 << 18
METHODS = (b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE ")


@dataclass(slots=True)
class Traffic:
    """What went over a line: connections, turns, HTTP requests, octets to the server and from it.

    A turn is when the client speaks after the server did: a round trip, unless it had sent ahead.
    """

    connections: int = 0
    turns: int = 0
    requests: int = 0
    sent: int = 0
    received: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        """Both together."""
        return Traffic(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def __sub__(self, before: Traffic) -> Traffic:
        """What came since."""
        return Traffic(*(getattr(self, one.name) - getattr(before, one.name) for one in fields(self)))


class Line:
    """The way to a port of loopback, `seconds` long there and back. Works in a thread of its own until closed."""

    def __init__(self, port: int, seconds: float) -> None:
        self._target = port
        self._seconds = seconds
        self._total = Traffic()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._work = self._loop.create_task(self._accept())
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def traffic(self) -> Traffic:
        """Return what has gone by so far."""
        return self._total + Traffic()

    def close(self) -> None:
        """Cut all connections and take no more."""
        self._loop.call_soon_threadsafe(self._work.cancel)
        self._thread.join()
        self._loop.close()
        self._listener.close()

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._work)

    async def _accept(self) -> None:
        async with asyncio.TaskGroup() as joined:
            while True:
                client, _ = await self._loop.sock_accept(self._listener)
                self._total.connections += 1
                joined.create_task(self._join(client))

    async def _join(self, client: socket.socket) -> None:
        with client, socket.socket() as server:
            for end in (client, server):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.sleep(self._seconds)
            with suppress(*GONE):
                await self._loop.sock_connect(server, ("127.0.0.1", self._target))
                sent, received = self._counters()
                async with asyncio.TaskGroup() as both:
                    self._carry(both, client, server, sent)
                    self._carry(both, server, client, received)

    def _counters(self) -> tuple[Callable[[bytes], None], Callable[[bytes], None]]:
        total, clients_turn = self._total, True

        def sent(data: bytes) -> None:
            nonlocal clients_turn
            total.sent += len(data)
            if clients_turn and data:
                clients_turn = False
                total.turns += 1
                total.requests += data.startswith(METHODS)

        def received(data: bytes) -> None:
            nonlocal clients_turn
            total.received += len(data)
            clients_turn = True

        return sent, received

    def _carry(
        self, both: asyncio.TaskGroup, source: socket.socket, sink: socket.socket, heard: Callable[[bytes], None]
    ) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(4096)

        async def read() -> None:
            data = b" "
            while data:
                data = await self._loop.sock_recv(source, PIECE)
                heard(data)
                await under_way.put((self._loop.time() + self._seconds / 2, data))

        async def write() -> None:
            while True:
                due, data = await under_way.get()
                if due > self._loop.time():
                    await asyncio.sleep(due - self._loop.time())
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                await self._loop.sock_sendall(sink, data)

        both.create_task(read())
        both.create_task(write())


GONE = (OSError, ExceptionGroup)
"""What ends one connection: either side went away."""


@contextmanager
def longer_way(port: int, milliseconds: int) -> Iterator[Line]:
    """Run a line to a port for as long as the context lasts."""
    line = Line(port, milliseconds / 1000)
    try:
        yield line
    finally:
        line.close()
