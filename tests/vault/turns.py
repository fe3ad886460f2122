"""Actors that take turns at one store, one call at a time, in an order drawn from a seed; who waits may wait for days.

Each actor is a thread, and so are the helpers it starts. A call waits until the scheduler grants it; the scheduler
grants the next one when all actors wait, and lets time pass in between.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TypeVar

from tests.vault.archive import FakeClock
from vault.ids import ObjectName
from vault.stores.base import FullStore, ObjectInfo

ResultT = TypeVar("ResultT")
SPANS = (timedelta(seconds=1), timedelta(minutes=20), timedelta(hours=5), timedelta(hours=20), timedelta(hours=60))
WEIGHTS = (300, 20, 6, 3, 2)


class _Call:
    def __init__(self) -> None:
        self.granted = threading.Event()
        self.done = threading.Event()


class Turns:
    """The scheduler."""

    def __init__(self, store: FullStore, clock: FakeClock, seed: int) -> None:
        self.store = store
        self.clock = clock
        self.chance = random.Random(seed)
        self.calls: list[tuple[str, str, str, datetime]] = []
        self._changed = threading.Condition()
        self._waiting: dict[str, list[_Call]] = {}
        self._failure: BaseException | None = None
        self._favoured = ""
        self._restless = self.chance.choice([0.3, 0.05, 0.01, 0.003])
        self._loyal = self.chance.choice([0.7, 0.95, 0.999])

    def run(self, actors: dict[str, Callable[[FullStore], None]]) -> None:
        """Run all actors to their end; raise what one of them raises."""
        self._waiting = {name: [] for name in actors}
        threads = [threading.Thread(target=self._act, args=(*item,), daemon=True) for item in actors.items()]
        for thread in threads:
            thread.start()
        while call := self._next():
            self.clock.moment += self.chance.choices(SPANS, WEIGHTS)[0]
            call.granted.set()
            assert call.done.wait(60)
        for thread in threads:
            thread.join(60)
        if self._failure:
            raise self._failure

    def slept(self, what: str) -> timedelta:
        """Return how long whoever put an object had last looked at tombstones before."""
        looks: dict[str, datetime] = {}
        last = ("", "")
        for name, deed, about, moment in self.calls:
            if (deed, about) == ("list", "tombstones/") and last != (name, about):
                looks[name] = moment
            if name in looks and (deed, about) == ("put", what):
                return moment - looks[name]
            last = (name, about)
        return timedelta()

    def _act(self, name: str, actor: Callable[[FullStore], None]) -> None:
        try:
            actor(_Turned(self, name))
        except BaseException as error:  # noqa: BLE001 raised again by `run`
            self._failure = self._failure or error
        with self._changed:
            del self._waiting[name]
            self._changed.notify_all()

    def _next(self) -> _Call | None:
        with self._changed:
            assert self._changed.wait_for(lambda: all(self._waiting.values()), 60)
            if not self._waiting or self._failure:
                self._release()
                return None
            # Who is favoured for a while gets far while the others sleep.
            if self._favoured not in self._waiting or self.chance.random() < self._restless:
                self._favoured = self.chance.choice(sorted(self._waiting))
            name = self._favoured if self.chance.random() < self._loyal else self.chance.choice(sorted(self._waiting))
            return self._waiting[name].pop(0)

    def _release(self) -> None:
        for calls in self._waiting.values():
            for call in calls:
                call.granted.set()

    def take(self, name: str, deed: str, what: str, work: Callable[[], ResultT]) -> ResultT:
        """Wait for a turn, and use it."""
        call = _Call()
        with self._changed:
            if self._failure:
                raise RuntimeError("another actor failed")
            self._waiting[name].append(call)
            self._changed.notify_all()
        call.granted.wait()
        try:
            self.calls.append((name, deed, what, self.clock.moment))
            return work()
        finally:
            call.done.set()


class _Turned:
    def __init__(self, turns: Turns, name: str) -> None:
        self._turns = turns
        self._name = name
        self.url = turns.store.url

    def _take(self, deed: str, what: str, work: Callable[[], ResultT]) -> ResultT:
        return self._turns.take(self._name, deed, what, work)

    def put(self, name: ObjectName, data: bytes, *, retain_until: datetime | None = None) -> None:
        self._take("put", name, lambda: self._turns.store.put(name, data))

    def get(self, name: ObjectName, *, start: int = 0, length: int | None = None) -> bytes:
        return self._take("get", name, lambda: self._turns.store.get(name, start=start, length=length))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        # In two pages, between which the world may change.
        found = self._take("list", prefix, lambda: list(self._turns.store.list(prefix)))
        if len(found) < 2:
            yield from found
            return
        half = found[: len(found) // 2]
        yield from half
        rest = self._take("list", prefix, lambda: list(self._turns.store.list(prefix)))
        yield from (info for info in rest if info.name > half[-1].name)

    def stat(self, name: ObjectName) -> ObjectInfo:
        return self._take("stat", name, lambda: self._turns.store.stat(name))

    def delete(self, name: ObjectName) -> None:
        self._take("delete", name, lambda: self._turns.store.delete(name))
