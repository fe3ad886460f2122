"""A shelf: octets fetched lately, each fetched once however many threads ask, the oldest let go first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future


class Shelf:
    """Keeps about so many octets."""

    def __init__(self, octets: int) -> None:
        self._limit = octets
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Future[bytes]] = OrderedDict()
        self._octets = 0

    def get(self, key: Hashable, load: Callable[[], bytes], *, longer_than: int = 0, at_most: int = 1 << 62) -> bytes:
        """Return what is kept under a key, or load it; who comes while it is being loaded waits for it.

        What is not longer than `longer_than`, because it was asked for whole, takes no place afterwards, nor what is
        longer than `at_most`, which would push out too much.
        """
        with self._lock:
            future = self._kept.get(key)
            mine = future is None
            if future is None:
                future = self._kept[key] = Future()
            self._kept.move_to_end(key)
        if mine:
            self._fill(key, future, load, range(longer_than + 1, at_most + 1))
        return future.result()

    def _fill(self, key: Hashable, future: Future[bytes], load: Callable[[], bytes], kept: range) -> None:
        try:
            octets = load()
        except BaseException as error:  # noqa: BLE001 handed to whoever waits
            with self._lock:
                self._kept.pop(key, None)
            future.set_exception(error)
            return
        future.set_result(octets)
        with self._lock:
            if len(octets) not in kept:
                del self._kept[key]
                return
            self._octets += len(octets)
            while self._octets > self._limit and len(self._kept) > 1:
                self._let_go()

    def _let_go(self) -> None:
        oldest, future = next(iter(self._kept.items()))
        if not future.done():
            self._kept.move_to_end(oldest)
            return
        del self._kept[oldest]
        self._octets -= len(future.result())
