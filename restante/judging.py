"""What follows from an account's history: who comes first, and who is late. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from restante.history import History, Standing
from vault.ids import AccountId

NEVER = datetime.min.replace(tzinfo=UTC)


def fair_order(accounts: Iterable[str], history: History) -> list[str]:
    """Return accounts with the one first whose last complete snapshot is oldest; those that have none before all."""
    complete = {name: standing.complete for name, standing in history.accounts.items()}
    return sorted(accounts, key=lambda name: complete.get(name) or NEVER)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an account stands against its RPO; `rpo` is None for one that nobody promised anything for."""

    account: str
    standing: Standing
    age: timedelta | None
    rpo: timedelta | None
    late: bool


def judge(accounts: Mapping[str, timedelta | None], history: History, now: datetime) -> list[Verdict]:
    """Judge these accounts, each with its RPO, by the age of its newest complete snapshot; none at all is late."""
    return [
        _verdict(name, rpo, history.accounts.get(name, Standing(AccountId(""))), now) for name, rpo in accounts.items()
    ]


def _verdict(name: str, rpo: timedelta | None, standing: Standing, now: datetime) -> Verdict:
    age = now - standing.complete if standing.complete is not None else None
    late = rpo is not None and (age is None or age > rpo)
    return Verdict(name, standing, age, rpo, late)
