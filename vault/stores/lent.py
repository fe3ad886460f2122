"""A store that one process has open for others too, which need no credentials then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from multiprocessing.connection import Connection
from queue import LifoQueue
from typing import Any

from vault.errors import StoreError
from vault.ids import ObjectName
from vault.stores.base import ObjectInfo, WriteStore


class LentStore:
    """Reads and writes through the process at the other end of these pipes; as much at once as there are pipes."""

    def __init__(self, url: str, pipes: Sequence[Connection]) -> None:
        self._url = url
        self._pipes: LifoQueue[Connection] = LifoQueue()
        for pipe in pipes:
            self._pipes.put(pipe)

    @property
    def url(self) -> str:
        """The address of the store itself."""
        return self._url

    def get(self, name: ObjectName, *, start: int = 0, length: int | None = None) -> bytes:
        """Return octets of one object."""
        with self._asking("get", name, start, length) as pipe:
            return pipe.recv_bytes()

    def put(self, name: ObjectName, data: bytes, *, retain_until: datetime | None = None) -> None:
        """Write one object whole."""
        with self._asking("put", name, retain_until, octets=data):
            pass

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every object whose name starts with `prefix`."""
        with self._asking("list", prefix) as pipe:
            found: list[ObjectInfo] = pipe.recv()
        yield from found

    def stat(self, name: ObjectName) -> ObjectInfo:
        """Say what the store knows of one object."""
        with self._asking("stat", name) as pipe:
            info: ObjectInfo = pipe.recv()
        return info

    @contextmanager
    def _asking(self, *question: object, octets: bytes | None = None) -> Iterator[Connection]:
        """Ask, and give the pipe from which the answer comes. Raises what the store raised."""
        pipe = self._pipes.get()
        try:
            pipe.send(question)
            if octets is not None:
                pipe.send_bytes(octets)
            if (trouble := pipe.recv()) is not None:
                raise trouble
            yield pipe
        except (EOFError, OSError):
            raise StoreError(f"{self._url} was lent by a process that ended", hint="run the same again") from None
        finally:
            self._pipes.put(pipe)


def lend(store: WriteStore, pipe: Connection) -> None:
    """Answer what a LentStore at the other end of the pipe asks, until it hangs up."""
    with pipe, suppress(EOFError, OSError):
        while True:
            _answer(store, pipe, *pipe.recv())


def _answer(store: WriteStore, pipe: Connection, what: str, name: ObjectName, *more: Any) -> None:
    octets = pipe.recv_bytes() if what == "put" else b""
    try:
        match what:
            case "get":
                answer: object = store.get(name, start=more[0], length=more[1])
            case "put":
                store.put(name, octets, retain_until=more[0])
                answer = None
            case "list":
                answer = list(store.list(name))
            case _:
                answer = store.stat(name)
    except StoreError as error:
        pipe.send(error)
        return
    pipe.send(None)
    if isinstance(answer, bytes):
        pipe.send_bytes(answer)
    elif what != "put":
        pipe.send(answer)
