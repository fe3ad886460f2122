"""A bandwidth that several connections share."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_SECONDS_AT_ONCE = 0.1
_MOST_AT_ONCE = 1 << 16


class Pace:
    """Bounds octets per second, however many threads move them: whoever moved some waits until they fit."""

    def __init__(
        self,
        octets_per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.octets_per_second = octets_per_second
        self.at_once = max(1, min(_MOST_AT_ONCE, int(octets_per_second * _SECONDS_AT_ONCE)))
        """So many octets should be moved before the next `spend`."""
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._paid_until = 0.0

    def spend(self, octets: int) -> None:
        """Wait until octets that were moved are within the bandwidth, behind all that others moved before."""
        with self._lock:
            now = self._clock()
            self._paid_until = max(self._paid_until, now) + octets / self.octets_per_second
            wait = self._paid_until - now
        self._sleep(wait)


class PacedReader(io.RawIOBase):
    """Reads on at a pace; what waits in the kernel meanwhile makes the server wait too."""

    def __init__(self, reader: io.BufferedIOBase, pace: Pace) -> None:
        self._reader = reader
        self._pace = pace

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read some octets, no more than the pace allows at once."""
        count = self._reader.readinto1(memoryview(buffer)[: self._pace.at_once])
        self._pace.spend(count)
        return count

    def close(self) -> None:
        """Close what is read from."""
        self._reader.close()
        super().close()
