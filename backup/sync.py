"""Reading one mailbox: open it, learn what changed, fetch what the vault lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from backup.budget import Allowance
from backup.draft import MailboxDraft
from backup.links import Links
from backup.patience import Interrupted
from backup.plan import HIGHEST_UID, WINDOW, Ranges, expand, plan_ahead, plan_catch_up, subtract, windows
from imap.model import GONE, Facts, Opened
from imap.source import SourceSession
from vault.clock import Progress
from vault.filler import Filler
from vault.model import Flags, MessageRow
from vault.waiting import Share, Stretch

_TRIES = 3
_LOOK_SECONDS = 0.2


@dataclass(slots=True)
class Tally:
    """What an account's run has done so far; numbers only grow."""

    new: int = 0
    linked: int = 0
    known: int = 0
    share: Share = field(default_factory=Share)


class Reading(msgspec.Struct, frozen=True):
    """What every window of an account's mailboxes is read with."""

    account: str
    writer: Filler
    links: Links
    progress: Progress
    tally: Tally
    allowance: Allowance
    stopped: Callable[[], bool]


def open_mailbox(session: SourceSession, draft: MailboxDraft) -> list[Ranges]:
    """Open a mailbox, note what is gone or re-flagged, and return windows of UIDs to read, newest first."""
    plan = draft.plan
    before = plan.before if plan.action == "catch up" else None
    known = (before.uidvalidity, before.highestmodseq) if before and before.highestmodseq else None
    opened = session.examine(plan.listed.raw, known=known, ahead=plan_ahead(plan))
    if before and opened.uidvalidity != before.uidvalidity:
        draft.problem("UIDVALIDITY changed while the account was read")
        draft.open(opened, start_over=True)
        draft.expect_windows(1, 0)
        return []
    draft.open(opened, start_over=before is None)
    if opened.cut_to:
        shown = f"only the newest {opened.cut_to:,} messages of a mailbox"
        draft.problem(f"the server shows {shown}; older ones may be missing here")
    wanted = list(_all_uids(session, opened)) if before is None else _catch_up(session, draft, opened)
    found = windows(wanted, WINDOW)
    draft.expect_windows(len(found), max((last for _, last in wanted), default=0))
    return found


def _all_uids(session: SourceSession, opened: Opened) -> Iterable[tuple[int, int]]:
    return session.uids(1, _last(opened)) if opened.exists else ()


def _last(opened: Opened) -> int:
    """Mail that comes after the opening belongs to the next snapshot."""
    return opened.uidnext - 1 if opened.uidnext else HIGHEST_UID


def _catch_up(session: SourceSession, draft: MailboxDraft, opened: Opened) -> list[tuple[int, int]]:
    """Bring the draft's old rows up to date; return the UIDs that it lacks."""
    before = draft.plan.before
    assert before is not None
    catch_up = plan_catch_up(before, opened, condstore=session.has_condstore)
    draft.remove(before.failed)  # some were kept all the same, with half of what there is to know
    if catch_up.how == "scan" or opened.cut_to:
        return _scan(session, draft, opened)
    first = 1 if before.failed or not before.complete else before.uidnext
    listed = list(session.uids(first, _last(opened))) if opened.exists and first <= _last(opened) else []
    new = list(subtract(listed, draft.rows_within(listed) if first == 1 else ()))
    if catch_up.how == "told":
        draft.remove(draft.rows_within(opened.vanished or ()))
        draft.set_flags(opened.changed or ())
    elif opened.highestmodseq != before.highestmodseq:
        draft.set_flags(session.flags_changed_since(before.highestmodseq or 0))
    if draft.messages + _count(new) != opened.exists:
        # No CHANGEDSINCE tells what is gone, and what came along with the opening may have come short.
        listed = list(session.uids(1, _last(opened)))
        if catch_up.how == "ask":
            _drop_gone(draft, listed, opened)
        known = draft.rows_within(listed) if first == 1 else ()
        new = list(subtract(((max(low, first), high) for low, high in listed if high >= first), known))
    if draft.messages + _count(new) != opened.exists:
        # Neither what the server told nor what it lists explains its count: its MODSEQs can't be trusted.
        return _scan(session, draft, opened)
    return new


def _count(ranges: Iterable[tuple[int, int]]) -> int:
    return sum(last - first + 1 for first, last in ranges)


def _drop_gone(draft: MailboxDraft, listed: list[tuple[int, int]], opened: Opened) -> None:
    """Drop the rows whose UIDs are no longer listed, provided that the listing is whole."""
    if _count(listed) == opened.exists:
        present = set(expand(listed))
        draft.remove([uid for uid, _ in draft.known_flags() if uid not in present])


def _scan(session: SourceSession, draft: MailboxDraft, opened: Opened) -> list[tuple[int, int]]:
    """Compare every UID and flag with the draft's rows; return the UIDs that it lacks."""
    now: dict[int, Flags] = dict(session.flags(1, _last(opened))) if opened.exists else {}
    gone, changed, known = [], [], set()
    for uid, flags in draft.known_flags():
        known.add(uid)
        if uid not in now:
            gone.append(uid)
        elif now[uid] != flags:
            changed.append((uid, now[uid]))
    if len(now) < opened.exists:
        draft.problem(f"the server counts {opened.exists} messages, but lists {len(now)}")
        gone = []  # a listing that comes short is no proof that anything is gone
    elif opened.cut_to:
        gone = [uid for uid in gone if uid > min(now)]  # below that is what newer mail has pushed out of sight
    draft.remove(gone)
    draft.set_flags(changed)
    return _ranges(uid for uid in now if uid not in known)


def _ranges(uids: Iterable[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for uid in sorted(uids):
        if ranges and uid == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], uid)
        else:
            ranges.append((uid, uid))
    return ranges


class WindowReader:
    """Reads one window of new messages. May be run again after a lost connection: it goes on where it was."""

    def __init__(self, draft: MailboxDraft, window: Ranges, reading: Reading) -> None:
        self.draft = draft
        self._window = window
        self._announced = False
        self._reading = reading
        self._first = 0
        self._breaks = 0
        self._on_progress: Callable[[], None] = lambda: None
        self._stretch = Stretch(reading.tally.share)

    @cached_property
    def _left(self) -> dict[int, None]:
        """The UIDs still to be read, written out only once their turn comes: a mailbox may have millions."""
        return dict.fromkeys(expand(self._window))

    def read(self, session: SourceSession, progress: Callable[[], None]) -> None:
        """Link what the vault has, fetch the rest; `progress` is called for each. Raises ImapError, Interrupted."""
        self._on_progress = progress
        if self._reading.allowance.exhausted:
            self.draft.problem(self._reading.allowance.reason)
            return
        raw = self.draft.plan.listed.raw
        if session.opened != raw:
            opened = session.examine(raw)
            if not self.draft.same_validity(opened):
                self.draft.problem("UIDVALIDITY changed while the account was read")
                return
        facts = {f.uid: self._reading.links.keyed(f) for f in session.facts(sorted(self._left))}
        self._account_for_silence(session, facts)
        if not self._announced:
            self._announced = True
            self._reading.progress.expect(self._reading.account, len(facts), sum(f.size for f in facts.values()))
        if self._link_or_fetch(session, list(facts.values())):
            self.draft.window_done()
        else:
            self.draft.problem(self._reading.allowance.reason)

    def _link_or_fetch(self, session: SourceSession, left: list[Facts]) -> bool:
        """Read each message once, whatever mailboxes it is in; say whether the account's day allowed it all."""
        links = self._reading.links
        while left:
            if self._reading.stopped():
                raise Interrupted
            mine = links.claim(left, _LOOK_SECONDS)
            try:
                to_fetch = [fact for fact in mine if not self._link(fact)]
                if to_fetch and not self._fetch_allowed(session, self._without_culprit(to_fetch)):
                    return False
            finally:
                links.release(mine)
            taken = {fact.uid for fact in mine}
            left = [fact for fact in left if fact.uid not in taken]
        return True

    def _fetch_allowed(self, session: SourceSession, to_fetch: list[Facts]) -> bool:
        """Fetch as many messages as the account's day allows; say whether that was all."""
        allowance, sizes = self._reading.allowance, [fact.size for fact in to_fetch]
        count = allowance.claim(sizes)
        try:
            self._fetch(session, to_fetch[:count])
        finally:
            allowance.settle(sizes[:count])
        return count == len(to_fetch)

    def _without_culprit(self, to_fetch: list[Facts]) -> list[Facts]:
        """Give up a message at which the connection broke each time: it must not keep us from the others."""
        first = to_fetch[0].uid if to_fetch else 0
        self._breaks = self._breaks + 1 if first == self._first else 0
        self._first = first
        if self._breaks < _TRIES or not to_fetch:
            return to_fetch
        self._lack(first, "the connection breaks whenever this message is read")
        return to_fetch[1:]

    def _account_for_silence(self, session: SourceSession, facts: dict[int, Facts]) -> None:
        """UIDs without an answer are gone, or the server keeps something from us: ask which."""
        silent = [uid for uid in self._left if uid not in facts]
        if not silent:
            return
        listed = list(session.uids(min(silent), max(silent)))
        for uid in silent:
            if any(first <= uid <= last for first, last in listed):
                self.draft.fail(uid, "the server lists the message but says nothing about it")
            else:
                self.draft.gone_meanwhile()
            del self._left[uid]

    def _link(self, fact: Facts) -> bool:
        """Take a message that the vault has under the server's own id; say whether that was possible."""
        blob = self._reading.links.find(fact)
        if blob is None:
            return False
        self._keep(fact, MessageRow(fact.uid, blob, fact.size, fact.internaldate, fact.server_id))
        self._reading.tally.linked += 1
        return True

    def _fetch(self, session: SourceSession, facts: Sequence[Facts]) -> None:
        by_uid = {fact.uid: fact for fact in facts}
        sizes = {fact.uid: fact.size for fact in facts}
        for uid, octets, reason, came in session.messages(list(by_uid), sizes=sizes):
            if self._reading.stopped():
                raise Interrupted
            if octets is None:
                self._lack(uid, reason)
            else:
                fact = by_uid[uid]
                self._store(fact if fact.internaldate else fact._replace(internaldate=came), octets)

    def _lack(self, uid: int, reason: str) -> None:
        if reason == GONE:
            self.draft.gone_meanwhile()
        else:
            self.draft.fail(uid, reason)
        self._left.pop(uid, None)
        self._on_progress()

    def _store(self, fact: Facts, octets: bytes) -> None:
        reading = self._reading
        added = reading.writer.add_message(octets, self._stretch)
        row = MessageRow(fact.uid, added.blob, len(octets), fact.internaldate, fact.server_id)
        reading.tally.known += added.known
        reading.tally.new += not added.known
        reading.links.learn(row)
        self._keep(fact, row)

    def _keep(self, fact: Facts, row: MessageRow) -> None:
        self.draft.add(row, fact.flags)
        if fact.untold:
            self.draft.half_told(fact.uid, f"the server does not tell its {fact.untold}")
        self._left.pop(fact.uid, None)
        self._on_progress()
        self._reading.progress.advance(self._reading.account, 1, row.size)
