"""How many octets may be read of an account in a day: some providers shut an account out that reads more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from backup.model import SourceAccount
from vault.clock import Clock
from vault.ids import AccountId
from vault.vault import Vault

DAY = timedelta(days=1)


class Spent(NamedTuple):
    """Octets that a run had read of an account when it ended."""

    when: datetime
    octets: int


class DayPlan(NamedTuple):
    """How many octets may still be read, and from when on it will be more."""

    left: int
    more: datetime


def plan_day(limit: int, spent: Iterable[Spent], now: datetime) -> DayPlan:
    """Return what is left of a limit for any 24 hours; what a wrong clock dated into the future counts as of now."""
    recent = sorted(Spent(min(one.when, now), one.octets) for one in spent if one.when > now - DAY)
    total = sum(one.octets for one in recent)
    left, more = max(0, limit - total), now
    for one in recent:
        total, more = total - one.octets, one.when + DAY
        if total < limit:
            break
    return DayPlan(left, more)


def fitting(sizes: Sequence[int], left: int, limit: int) -> int:
    """Return how many messages, the first ones, fit into what is left of a day's limit.

    One that is larger than the limit fits a day on which hardly anything else was read, or it would never be kept.
    """
    total = 0
    for count, size in enumerate(sizes):
        total += size
        if total > left:
            return 1 if count == 0 and size > limit and left > limit * 9 // 10 else count
    return len(sizes)


class Budget(msgspec.Struct, frozen=True):
    """What one account may read in any 24 hours, and what was read of it lately."""

    limit: int
    spent: Sequence[Spent]
    clock: Clock

    def today(self, used: int) -> DayPlan:
        """Return what is left, `used` octets having been read since."""
        now = self.clock.now()
        return plan_day(self.limit, [*self.spent, Spent(now, used)], now)


class Allowance:
    """What may still be read of an account today; several connections share it. `used` is what this run has read."""

    def __init__(self, budget: Budget | None, used: Callable[[], int]) -> None:
        self._budget = budget
        self._used = used
        self._lock = threading.Lock()
        self._claimed = 0

    def claim(self, sizes: Sequence[int]) -> int:
        """Claim the first messages that fit; return how many they are. Whoever is done with them calls `settle`."""
        if self._budget is None:
            return len(sizes)
        with self._lock:
            count = fitting(sizes, self._budget.today(self._used()).left - self._claimed, self._budget.limit)
            self._claimed += sum(sizes[:count])
            return count

    def settle(self, sizes: Sequence[int]) -> None:
        """Note that messages that were claimed have been read, or won't be: what came of them is in use by now."""
        with self._lock:
            self._claimed -= sum(sizes)

    @property
    def exhausted(self) -> bool:
        """Whether nothing more is to be read today."""
        return self._budget is not None and not self._budget.today(self._used()).left

    @property
    def reason(self) -> str:
        """Why not all is read, and when it goes on."""
        assert self._budget is not None
        more = self._budget.today(self._used()).more.strftime("%Y-%m-%d %H:%M UTC")
        return f"the {self._budget.limit:,} octets that may be read in a day are used up; a run after {more} goes on"


def day_budgets(vault: Vault, accounts: Iterable[SourceAccount], clock: Clock) -> dict[str, Budget]:
    """Return the budget of each account that has one, from the run records of the last day. Raises StoreError."""
    limits = {source.account: source.octets_per_day for source in accounts if source.octets_per_day}
    spent: dict[AccountId, list[Spent]] = {vault.ring.account_id(account): [] for account in limits}
    for run in vault.runs() if limits else ():
        finished = datetime.fromisoformat(run.finished)
        if finished <= clock.now() - DAY:
            break
        for one in run.accounts:
            if one.account in spent:
                spent[one.account].append(Spent(finished, one.downloaded))
    return {account: Budget(limit, spent[vault.ring.account_id(account)], clock) for account, limit in limits.items()}
