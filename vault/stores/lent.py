"""A store that one process has open and others read through it: what one of them fetched is there for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from queue import LifoQueue
from typing import Any

from vault.errors import ObjectCutShort, ObjectMissing, StoreError, StoreUnavailable
from vault.ids import ObjectName
from vault.stores.base import ObjectInfo, ReadStore

_KINDS = {kind.__name__: kind for kind in (StoreError, ObjectMissing, ObjectCutShort, StoreUnavailable)}


class LentStore:
    """Reads through the process at the other end of these pipes; as many reads at once as there are pipes."""

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
    def _asking(self, *question: object) -> Iterator[Connection]:
        """Ask, and give the pipe from which the answer comes. Raises what the store raised."""
        pipe = self._pipes.get()
        try:
            pipe.send(question)
            if (trouble := pipe.recv()) is not None:
                kind, message, hint = trouble
                raise _KINDS[kind](message, hint=hint)
            yield pipe
        except (EOFError, OSError):
            raise StoreError(f"{self._url} was lent by a process that ended", hint="run the same again") from None
        finally:
            self._pipes.put(pipe)


def lend(store: ReadStore, pipe: Connection) -> None:
    """Answer what a LentStore at the other end of the pipe asks, until it hangs up."""
    try:
        while True:
            _answer(store, pipe, *pipe.recv())
    except (EOFError, OSError):
        pipe.close()


def _answer(store: ReadStore, pipe: Connection, what: str, name: ObjectName, *span: Any) -> None:
    try:
        match what:
            case "get":
                answer: object = store.get(name, start=span[0], length=span[1])
            case "list":
                answer = list(store.list(name))
            case _:
                answer = store.stat(name)
    except StoreError as error:
        kind = next(one for one in type(error).__mro__ if one.__name__ in _KINDS)
        pipe.send((kind.__name__, error.message, error.hint))
        return
    pipe.send(None)
    pipe.send_bytes(answer) if isinstance(answer, bytes) else pipe.send(answer)
