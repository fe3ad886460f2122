"""Which blobs the processes of one run have taken on themselves: what several accounts got is stored once."""

from __future__ import annotations

import ctypes
from multiprocessing import get_context

from vault.ids import BlobId

_ID = 16
_SLOTS = 1 << 20
_LOOKS = 64
_FREE = bytes(_ID)


class Claims:
    """A table of blob ids in memory that processes share; where it is full, a blob may be stored twice.

    It is handed to a process as that is started (multiprocessing, method `spawn`). One that dies while it looks into
    the table leaves it locked: then the others must be ended too.
    """

    def __init__(self, slots: int = _SLOTS) -> None:
        context = get_context("spawn")
        self._slots = slots
        self._lock = context.Lock()
        self._table = context.RawArray(ctypes.c_ubyte, slots * _ID)

    def take(self, blob: BlobId) -> bool:
        """Say whether nobody has taken a blob before."""
        first = int.from_bytes(blob[:8], "big")
        table = memoryview(self._table).cast("B")
        with self._lock:
            for look in range(_LOOKS):
                at = (first + look) % self._slots * _ID
                found = bytes(table[at : at + _ID])
                if found == blob:
                    return False
                if found == _FREE:
                    table[at : at + _ID] = blob
                    return True
        return True
