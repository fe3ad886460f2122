"""From JSON to what it says, in any thread."""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
_learning = threading.Lock()
_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


def decode(data: bytes, kind: type[T]) -> T:
    """Return what JSON says, as a `kind`. Raises msgspec.DecodeError.

    msgspec learns what a type holds when it first meets it: where two threads have it learn the same one at a time,
    the process crashes (msgspec 0.22).
    """
    with _learning:
        decoder = _decoders.get(kind) or _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    found: T = decoder.decode(data)
    return found
