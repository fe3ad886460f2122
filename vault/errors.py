"""What can go wrong with a vault, said so that an administrator knows what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar


class Trouble(Exception):
    """Something a user can meet: what happened, what to do, whether trying again helps."""

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Callable[..., Trouble], tuple[object, ...]]:
        """Let it cross from one process to another."""
        return _as_it_was, (type(self), self.args, vars(self))


def _as_it_was(kind: type[Trouble], arguments: tuple[object, ...], state: dict[str, object]) -> Trouble:
    error = kind.__new__(kind, *arguments)
    vars(error).update(state)
    return error


class VaultError(Trouble):
    """The vault can't be opened, read or written as asked."""


class WrongSecret(VaultError):
    """The passphrase, recovery key or key file does not open this vault."""


class ContentKeyMissing(VaultError):
    """Mail can't be read: only the backup-only key is at hand."""


class SnapshotMissing(VaultError):
    """No snapshot of that account, or none that old."""


class Damage(VaultError):
    """An object or blob is missing, cut short or not what was written. Never retried."""

    def __init__(self, message: str, *, object_name: str, hint: str = "") -> None:
        super().__init__(message, hint=hint or "run `restante check --read` to see what it affects")
        self.object_name = object_name


class StoreError(VaultError):
    """The store refused: a wrong name, missing rights, a full disk, a missing bucket."""


class ObjectMissing(StoreError):
    """The store holds no object of that name."""


class ObjectCutShort(StoreError):
    """An object ends before the octets that were asked for."""


class StoreUnavailable(StoreError):
    """The store did not answer, or answered that it is overloaded, for as long as we waited."""

    retryable = True


class Overtaken(VaultError):
    """Maintenance went on while a run was under way for so long that what the run relies on may be gone.

    `committed` says whether snapshots were written before that was seen.
    """

    retryable = True

    def __init__(self, *, committed: bool) -> None:
        hint = "run it again: it goes on from its last checkpoint"
        super().__init__("the run was overtaken by a prune of the vault", hint=hint)
        self.committed = committed
