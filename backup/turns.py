"""Whose turn it is: how many accounts are read at once, in all and of one server, across all jobs of a process."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

ItemT = TypeVar("ItemT")

_LOOK_SECONDS = 0.2


class Turns:
    """Hands out accounts in order, passing over those whose server is busy. Safe to use from several threads."""

    def __init__(self, in_all: int, per_server: int | None = None, of: Mapping[str, int] | None = None) -> None:
        """Bound the accounts in all, of any one server, and `of` servers that have a bound of their own."""
        self._in_all = in_all
        self._per_server = per_server or in_all
        self._of = dict(of or {})
        self._under_way: Counter[str] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def take(
        self, waiting: list[ItemT], server: Callable[[ItemT], str], stop: threading.Event
    ) -> Iterator[ItemT | None]:
        """Take the first of `waiting` whose server has room, for as long as the block runs; wait until one has.

        Gives None once nothing is left or `stop` is set.
        """
        with self._changed:
            item: ItemT | None = None
            while waiting and not stop.is_set() and (item := self._first(waiting, server)) is None:
                self._changed.wait(_LOOK_SECONDS)
        try:
            yield item
        finally:
            if item is not None:
                with self._changed:
                    self._under_way[server(item)] -= 1
                    self._changed.notify_all()

    def _first(self, waiting: list[ItemT], server: Callable[[ItemT], str]) -> ItemT | None:
        if self._under_way.total() >= self._in_all:
            return None
        for item in waiting:
            if self._under_way[server(item)] < self._of.get(server(item), self._per_server):
                waiting.remove(item)
                self._under_way[server(item)] += 1
                return item
        return None
