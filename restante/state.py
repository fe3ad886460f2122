"""The service as it stands, for whoever asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from restante.config import Kind
from restante.history import History


@dataclass(frozen=True, slots=True)
class JobState:
    """One job as it stands now."""

    name: str
    does: Kind
    running_since: datetime | None
    next_run: datetime | None
    runs: Mapping[str, int]
    figures: Mapping[str, int | float]


@dataclass(frozen=True, slots=True)
class State:
    """All that the service tells of itself. `looked` is when the history was read from the vault.

    `waiting` counts what each channel could not be told yet, `unheard` the messages that did not arrive.
    """

    accounts: Mapping[str, timedelta | None]
    history: History
    looked: datetime
    jobs: tuple[JobState, ...]
    alive: bool
    waiting: Mapping[str, int] = field(default_factory=dict)
    unheard: Mapping[str, int] = field(default_factory=dict)
