"""A shelf: octets fetched lately, each fetched once however many threads ask, the oldest let go first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

OctetsT = TypeVar("OctetsT", bytes, bytes | memoryview)


class Shelf(Generic[OctetsT]):
    """Keeps about so many octets."""

    def __init__(self, octets: int) -> None:
        self._limit = octets
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, _Coming[OctetsT]] = OrderedDict()
        self._octets = 0

    def get(
        self, key: Hashable, load: Callable[[], OctetsT], *, longer_than: int = 0, at_most: int = 1 << 62
    ) -> OctetsT:
        """Return what is kept under a key, or load it; who comes while it is being loaded waits for it.

        What is not longer than `longer_than`, because it was asked for whole, takes no place afterwards, nor what is
        longer than `at_most`, which would push out too much.
        """
        with self._lock:
            found = self._kept.get(key)
            coming: _Coming[OctetsT] = found or _Coming()
            self._kept[key] = coming
            self._kept.move_to_end(key)
        if found is None:
            self._fill(key, coming, load, range(longer_than + 1, at_most + 1))
        return coming.octets()

    def _fill(self, key: Hashable, coming: _Coming[OctetsT], load: Callable[[], OctetsT], kept: range) -> None:
        try:
            octets = load()
        except BaseException as error:  # noqa: BLE001 handed to whoever waits
            with self._lock:
                self._kept.pop(key, None)
            coming.fail(error)
            return
        with self._lock:
            coming.come(octets)  # not before: nothing that is here may be let go while it is not counted
            if len(octets) not in kept:
                del self._kept[key]
                return
            self._octets += len(octets)
            while self._octets > self._limit and len(self._kept) > 1:
                self._let_go()

    def _let_go(self) -> None:
        oldest, coming = next(iter(self._kept.items()))
        if not coming.here:
            self._kept.move_to_end(oldest)
            return
        del self._kept[oldest]
        self._octets -= len(coming.octets())


class _Coming(Generic[OctetsT]):
    """Octets that one thread loads and others wait for. A Future does more, and takes five times as long to make."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()
        self._octets: OctetsT | None = None
        self._error: BaseException | None = None
        self.here = False

    def come(self, octets: OctetsT) -> None:
        """Let go on who waits."""
        self._octets, self.here = octets, True
        self._gate.release()

    def fail(self, error: BaseException) -> None:
        """Have all who wait raise this."""
        self._error, self.here = error, True
        self._gate.release()

    def octets(self) -> OctetsT:
        """Return them, once they are here; raises what kept them away."""
        if not self.here:
            with self._gate:
                pass
        if self._octets is None:
            assert self._error is not None, "it came or it failed"
            raise self._error
        return self._octets
