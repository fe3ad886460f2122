"""The contract of a store: where a vault's objects lie."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from vault.ids import ObjectName

LockMode = Literal["GOVERNANCE", "COMPLIANCE"]


class ObjectInfo(msgspec.Struct, frozen=True):
    """What a listing says of one object; `modified` is by the store's clock."""

    name: ObjectName
    size: int
    modified: datetime


class Protection(msgspec.Struct, frozen=True):
    """What a bucket says that it does against deletion; None where it does not tell."""

    versioned: bool | None
    lockable: bool | None


class ReadStore(Protocol):
    """Where a vault's objects lie, seen by someone who may only read."""

    @property
    def url(self) -> str:
        """The store's address, without secrets, for messages."""

    def get(self, name: ObjectName, *, start: int = 0, length: int | None = None) -> bytes:
        """Return `length` bytes from byte `start`; the rest of the object when None.

        Raises ObjectMissing, StoreUnavailable (worth retrying) or StoreError. Never returns short: a range that
        runs past the object's end raises ObjectCutShort.
        """

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every object whose name starts with `prefix`, in order of name, or raise; never end early."""

    def stat(self, name: ObjectName) -> ObjectInfo:
        """Say what the store knows of one object. Raises ObjectMissing."""


class WriteStore(ReadStore, Protocol):
    """The same for someone who may add objects, but not remove any."""

    def put(self, name: ObjectName, data: bytes, *, retain_until: datetime | None = None) -> None:
        """Write one object whole. Once it returns, the object is durable; if the process dies, it is whole or absent.

        Writing the same bytes under the same name again is harmless. Raises StoreUnavailable or StoreError.
        """


class FullStore(WriteStore, Protocol):
    """The same for maintenance, which may delete."""

    def delete(self, name: ObjectName) -> None:
        """Remove one object; absent is fine. Raises StoreError where the store refuses (a lock, missing rights)."""


class LockStore(FullStore, Protocol):
    """The same where objects can be kept from deletion until a time."""

    def locked_until(self, name: ObjectName) -> datetime | None:
        """Return the end of an object's lock, or None where the store tells of none. Raises ObjectMissing."""

    def extend(self, name: ObjectName, retain_until: datetime) -> None:
        """Keep an object from deletion for longer. Raises ObjectMissing; StoreError where the store refuses."""
