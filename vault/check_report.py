"""What a check finds, as plain data."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple


class Affected(NamedTuple):
    """Mail that a damage touches; `uid` is None for all of a mailbox, `mailbox` empty for all of a snapshot.

    Where all snapshots of an account are damaged, nothing tells its name, and `account` is its id.
    """

    account: str
    mailbox: str
    uid: int | None


@dataclass(frozen=True, slots=True)
class DamageFound:
    """One object that is not what was written, and the mail it touches."""

    object: str
    reason: str
    affects: tuple[Affected, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check saw. `notes` are worth knowing but no damage."""

    packs: int
    blobs: int
    octets_read: int
    damage: tuple[DamageFound, ...]
    notes: tuple[str, ...] = ()


class Findings:
    """Gathers damage by object; the first reason found for an object is kept."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}
        self._affected: defaultdict[str, dict[Affected, None]] = defaultdict(dict)

    def damaged(self, name: str, reason: str, affected: Affected | None = None) -> None:
        """Note that an object is damaged, and mail that this touches."""
        self._reasons.setdefault(name, reason)
        if affected:
            self._affected[name][affected] = None

    def names(self, prefix: str) -> list[str]:
        """Return the damaged objects whose names start so."""
        return [name for name in self._reasons if name.startswith(prefix)]

    def reason(self, name: str) -> str:
        """Return what was found wrong with an object."""
        return self._reasons[name]

    def all(self) -> tuple[DamageFound, ...]:
        """Return everything found, by name."""
        return tuple(
            DamageFound(name, reason, tuple(self._affected.get(name, {})))
            for name, reason in sorted(self._reasons.items())
        )
