"""Whether a restore fits into what the target has left: pure functions over a plan, asked before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imap.model import Quota
from restore.errors import RestoreTrouble
from restore.model import RestorePlan

Verdict = Literal["fits", "perhaps", "too little"]
_NOUNS = {"MESSAGE": ("message", "messages"), "MAILBOX": ("mailbox", "mailboxes")}


class NoRoom(RestoreTrouble):
    """The target has less room left than the restore needs."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How much a restore adds to a target: octets, messages, mailboxes."""

    octets: int = 0
    messages: int = 0
    mailboxes: int = 0

    def of(self, quota: Quota) -> int:
        """Return what counts against a quota."""
        return {"STORAGE": self.octets, "MESSAGE": self.messages}.get(quota.resource, self.mailboxes)


@dataclass(frozen=True, slots=True)
class Fit:
    """What a plan needs of one quota, at least and at most: the target may hold some of it already."""

    quota: Quota
    least: int
    most: int

    @property
    def verdict(self) -> Verdict:
        """Whether there is room; `perhaps` where only counting what the target holds can tell."""
        if self.most <= self.quota.left:
            return "fits"
        return "too little" if self.least > self.quota.left else "perhaps"


def fits(plan: RestorePlan) -> list[Fit]:
    """Compare what a plan needs with each quota of its target. What goes to other users' mailboxes is theirs."""
    new = {planned.levels for planned in plan.mailboxes if planned.create and not planned.namespace}
    most = _sum(plan, vacant_only=False, mailboxes=len(new))
    least = Amount(mailboxes=len(new)) if plan.filters.of_messages else _sum(plan, vacant_only=True, mailboxes=len(new))
    found = []
    for quota in plan.quotas:
        # However much of the mail is there already, no more can be than is used.
        unheld = most.of(quota) - quota.used if not plan.filters.of_messages else 0
        found.append(Fit(quota, max(least.of(quota), unheld), most.of(quota)))
    return found


def _sum(plan: RestorePlan, *, vacant_only: bool, mailboxes: int) -> Amount:
    own = [planned for planned in plan.mailboxes if not planned.namespace]
    sources = [planned.source for planned in own if planned.vacant or not vacant_only]
    return Amount(sum(s.octets for s in sources), sum(s.messages for s in sources), mailboxes)


def fits_after_counting(plan: RestorePlan, lacking: Amount) -> list[Fit]:
    """Compare once it is known exactly what the target lacks."""
    return [Fit(quota, lacking.of(quota), lacking.of(quota)) for quota in plan.quotas if quota.resource != "MAILBOX"]


def refuse_without_room(plan: RestorePlan, found: list[Fit]) -> None:
    """Raise NoRoom where a restore can't fit."""
    for fit in found:
        if fit.verdict == "too little":
            needed, left = _amount(fit.least, fit.quota), _amount(fit.quota.left, fit.quota)
            hint = "raise the quota there, restore less (--mailbox, --since), or restore what fits with --ignore-quota"
            raise NoRoom(f"{plan.account} needs {needed}, and {plan.target} has {left} left", hint=hint)


def describe_fit(fit: Fit) -> str:
    """Return what a dry run says of one quota."""
    needed, left = _amount(fit.most, fit.quota), _amount(fit.quota.left, fit.quota)
    verdict = {
        "fits": "fits",
        "perhaps": "fits if enough of it is there already, which is counted before anything is sent",
        "too little": "does not fit",
    }[fit.verdict]
    return f"quota {fit.quota.root or 'of the account'}: needs up to {needed}, {left} left: {verdict}"


def _amount(number: int, quota: Quota) -> str:
    if quota.resource != "STORAGE":
        return f"{number:,} {_NOUNS[quota.resource][number != 1]}"
    return f"{number / 2**20:,.1f} MiB" if number >= 100 << 10 else f"{number / 2**10:,.1f} KiB"
