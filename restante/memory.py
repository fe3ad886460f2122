"""How much memory the C library may keep for itself."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""mallopt(3)."""


def keep_memory_small() -> None:
    """Have glibc give back what is freed; elsewhere do nothing.

    Left alone it keeps a heap for each of many threads, and holds on to blocks of up to 32 MiB once it has seen one:
    with ten accounts at once that nearly doubles the peak.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, 1 << 20)
        # The default, 128 KiB, gives pages back that the next message has to have made anew.
        mallopt(_M_TRIM_THRESHOLD, 8 << 20)
