"""Deciding what to ask a server for: pure functions from what the vault knows and what the server lists."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from imap.model import ListedMailbox, MailboxStatus, NamespaceKind, Opened
from vault.ids import SnapshotId
from vault.model import Mailbox, Snapshot, Tree

Action = Literal["keep", "name only", "read all", "catch up", "unreadable"]
Ranges = tuple[tuple[int, int], ...]
HIGHEST_UID = 0xFFFFFFFF
WINDOW = 2000
"""How many new messages are read at a time."""
OWN: frozenset[NamespaceKind] = frozenset({""})


class MailboxPlan(msgspec.Struct, frozen=True):
    """What to do about one listed mailbox, and why. `before` is what the last snapshot knew of it."""

    listed: ListedMailbox
    before: Mailbox | None
    action: Action
    reason: str


class SyncPlan(msgspec.Struct, frozen=True):
    """What to do about an account: its mailboxes in the order to read them, and what should alarm somebody."""

    mailboxes: tuple[MailboxPlan, ...]
    alarms: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def plan_sync(
    previous: Tree | None,
    listing: Sequence[ListedMailbox],
    exclude: Sequence[str] = (),
    only: Sequence[str] = (),
    namespaces: Collection[NamespaceKind] = OWN,
) -> SyncPlan:
    """Plan one account's backup from the newest snapshot's tree and the server's listing."""
    before = {mailbox.raw: mailbox for mailbox in previous.mailboxes} if previous else {}
    chosen = [m for m in listing if (not only or _matches(m, only)) and not _matches(m, exclude)]
    kept = [m for m in chosen if m.namespace in namespaces]
    left_out = tuple(m.name for m in chosen if m.namespace and m.namespace not in namespaces)
    plans = [plan_mailbox(before.get(listed.raw), listed) for listed in kept]
    there = {listed.raw for listed in listing}
    gone = [m for m in before.values() if m.raw not in there]
    alarms = tuple(_listing_alarms(before.values(), gone, plans))
    return SyncPlan(tuple(sorted(plans, key=_urgency)), alarms, left_out)


def _matches(listed: ListedMailbox, patterns: Iterable[str]) -> bool:
    r"""Say whether a mailbox's name fits one of the globs, or its role is one of them (`\Junk`), letter case aside."""
    name, role = listed.name.casefold(), (listed.special_use or "").casefold()
    return any(
        role == pattern.casefold() if pattern.startswith("\\") else fnmatchcase(name, pattern.casefold())
        for pattern in patterns
    )


def plan_mailbox(before: Mailbox | None, listed: ListedMailbox) -> MailboxPlan:
    """Say what a mailbox's four numbers ask for (RFC 7162 §3.1, RFC 9051 §2.3.1.1)."""
    now = listed.status
    if now is None:
        lowered = {attribute.lower() for attribute in listed.attributes}
        if listed.problem or not lowered & {"\\noselect", "\\nonexistent"}:
            return MailboxPlan(listed, before, "unreadable", listed.problem or "the server gave no STATUS")
        return MailboxPlan(listed, before, "name only", "holds no messages")
    if before is None or not before.selectable:
        return MailboxPlan(listed, None, "read all", "new")
    if renumbered := _renumbered(before, now):
        return MailboxPlan(listed, before, "read all", renumbered)
    if _stands(before, now):
        return MailboxPlan(listed, before, "keep", "nothing changed")
    return MailboxPlan(listed, before, "catch up", _what_changed(before, now))


def _renumbered(before: Mailbox, now: MailboxStatus) -> str:
    """Say why the old UIDs may name other messages now; empty where they don't."""
    if before.uidvalidity != now.uidvalidity:
        return f"UIDVALIDITY changed from {before.uidvalidity} to {now.uidvalidity}"
    if now.uidnext < before.uidnext and before.complete:
        # RFC 9051 §2.3.1.1 forbids it, but a server rebuilt within the same second gives the old UIDVALIDITY again.
        return f"UIDNEXT went back from {before.uidnext} to {now.uidnext}"
    return ""


def _stands(before: Mailbox, now: MailboxStatus) -> bool:
    """Say whether nothing can have changed. Without HIGHESTMODSEQ flags may have, and nobody would know."""
    numbers = (before.uidnext, before.messages, before.highestmodseq)
    same = numbers == (now.uidnext, now.messages, now.highestmodseq)
    return same and now.highestmodseq is not None and before.complete and not before.failed


def _what_changed(before: Mailbox, now: MailboxStatus) -> str:
    if not before.complete:
        return "the last run did not get to its end"
    if before.failed:
        return f"{len(before.failed)} messages failed before"
    if now.uidnext != before.uidnext:
        return "new mail"
    if now.messages != before.messages:
        return "messages are gone"
    return "flags changed" if now.highestmodseq is not None else "flags may have changed"


def _urgency(plan: MailboxPlan) -> tuple[bool, bool, bytes]:
    """INBOX first, then Sent and other mailboxes, Junk and Trash last: half a first backup should hold what matters."""
    role = (plan.listed.special_use or "").lower()
    return (plan.listed.name.upper() != "INBOX", role in {"\\junk", "\\trash"}, plan.listed.raw)


_MANY = 10


def _listing_alarms(before: Iterable[Mailbox], gone: Sequence[Mailbox], plans: Sequence[MailboxPlan]) -> Iterable[str]:
    lost = [m for m in gone if m.messages]
    if len(lost) * 2 > len([m for m in before if m.messages]) and len(lost) > 1:
        yield f"{len(lost)} mailboxes with {sum(m.messages for m in lost)} messages are no longer listed"
    for plan in plans:
        if plan.before and plan.listed.status:
            if plan.action == "read all":
                yield f"mailbox {plan.listed.name}: {plan.reason}; all of it is read again"
            if plan.before.messages >= _MANY and not plan.listed.status.messages:
                yield f"mailbox {plan.listed.name} held {plan.before.messages} messages and is empty now"


_MANY_MAILBOXES = 8
_MANY_MESSAGES = 200


def plan_connections(changed: Sequence[MailboxPlan], most: int) -> int:
    """Say over how many connections to read: another login costs as much as a few mailboxes with a few new mails."""
    lacking = [lacks(plan) for plan in changed]
    if len(changed) < _MANY_MAILBOXES and sum(lacking) <= _MANY_MESSAGES:
        return min(most, 1)
    return min(most, sum(max(1, -(-count // WINDOW)) for count in lacking))


def plan_ahead(plan: MailboxPlan) -> int:
    """Return the UID from which on the opening asks for messages too; 0 where they are none, or too many."""
    before = plan.before if plan.action == "catch up" else None
    if not 0 < lacks(plan) <= WINDOW or (before and (before.failed or not before.complete)):
        return 0
    return max(1, before.uidnext) if before else 1


def lacks(plan: MailboxPlan) -> int:
    """Return how many messages of a mailbox are to be read, at most, by its numbers."""
    now, before = plan.listed.status, plan.before if plan.action == "catch up" else None
    if now is None or before is None:
        return now.messages if now else 0
    arrived = max(0, now.uidnext - before.uidnext)
    return min(now.messages, max(arrived, now.messages - before.messages) + len(before.failed))


class CatchUp(msgspec.Struct, frozen=True):
    """How to learn what happened to a mailbox since the last snapshot, and why so.

    "told": the opening itself said it (QRESYNC). "ask": CHANGEDSINCE for flags, and a look at the UIDs only where the
    counts show that some are gone. "scan": compare every UID and flag.
    """

    how: Literal["told", "ask", "scan"]
    reason: str


def plan_catch_up(before: Mailbox, opened: Opened, *, condstore: bool) -> CatchUp:
    """Choose how to catch up with an opened mailbox whose UIDVALIDITY stands."""
    if not condstore or before.highestmodseq is None or opened.highestmodseq is None:
        return CatchUp("scan", "the server keeps no MODSEQ")
    if opened.highestmodseq < before.highestmodseq:
        return CatchUp("scan", "HIGHESTMODSEQ went backward")
    if opened.vanished is not None and opened.changed is not None:
        return CatchUp("told", "QRESYNC")
    return CatchUp("ask", "CONDSTORE")


def adds_up(exists: int, kept: int, failed: int, gone_meanwhile: int) -> bool:
    """Say whether what the server counted is what we have, know to have failed, or saw vanish while reading."""
    return exists - gone_meanwhile <= kept + failed <= exists


def untold(shots: Sequence[Snapshot], named: SnapshotId | None) -> Sequence[Snapshot]:
    """Return which of an account's snapshots, oldest first, came after the one that a whole run's record names.

    Their runs were stopped or died: what they noticed may have been told to nobody.
    """
    told = [n for n, shot in enumerate(shots) if named and (shot.id == named or shot.id[:16] < named[:16])]
    return shots[max(told, default=-1) + 1 :]


def count_alarm(before: int, now: int) -> str | None:
    """Say what should alarm somebody about an account's number of messages."""
    if before >= _MANY and now * 2 < before:
        return f"the account held {before} messages and holds {now} now"
    return None


def windows(ranges: Iterable[tuple[int, int]], size: int) -> list[Ranges]:
    """Cut ascending UID ranges into windows of at most `size` UIDs, the newest window first."""
    result: list[Ranges] = []
    window: list[tuple[int, int]] = []
    room = size
    for first, last in sorted(ranges, reverse=True):
        high = last
        while high >= first:
            low = max(first, high - room + 1)
            window.append((low, high))
            room -= high - low + 1
            high = low - 1
            if not room:
                result.append(tuple(reversed(window)))
                window, room = [], size
    if window:
        result.append(tuple(reversed(window)))
    return result


def subtract(ranges: Iterable[tuple[int, int]], uids: Iterable[int]) -> Iterable[tuple[int, int]]:
    """Yield the parts of ascending ranges that hold none of the ascending UIDs."""
    known = iter(uids)
    uid = next(known, None)
    for first, last in ranges:
        start = first
        while uid is not None and uid <= last:
            if uid > start:
                yield start, uid - 1
            start = max(start, uid + 1)
            uid = next(known, None)
        if start <= last:
            yield start, last


def expand(ranges: Iterable[tuple[int, int]]) -> list[int]:
    """Return the UIDs of ascending ranges, newest first."""
    return [uid for first, last in sorted(ranges, reverse=True) for uid in range(last, first - 1, -1)]
