"""A mailbox on its way into a snapshot: its two tables as they fill, and the counts that must add up."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from backup.plan import MailboxPlan, adds_up
from imap.belongings import Belongings
from imap.model import ListedMailbox, Opened
from vault.filler import Filler
from vault.ids import BlobId
from vault.model import Failure, Flags, Mailbox, MessageRow
from vault.table import Table, flag_table, message_table

_FOLD_AT = 20_000


class MailboxDraft:
    """One mailbox being read. Several connections may add to it at once."""

    def __init__(self, plan: MailboxPlan, writer: Filler) -> None:
        self.plan = plan
        self._writer = writer
        self._lock = threading.RLock()
        self._opened: Opened | None = None
        self._uidnext = 0
        self._windows_left = 1
        self._caught_up = False
        self._failed: dict[int, str] = {}
        self._half_told: dict[int, str] = {}
        self._problem = ""
        self._gone_meanwhile = 0
        self._new_rows: list[MessageRow] = []
        self._new_flags: dict[int, Flags] = {}
        self._removed: set[int] = set()
        before = plan.before if plan.action == "catch up" else None
        self._rows: Table[MessageRow] = message_table(writer.read_meta, before.rows if before else None)
        self._flags = flag_table(writer.read_meta, before.flags if before else None)
        self._octets = before.octets if before else 0

    def open(self, opened: Opened, *, start_over: bool) -> None:
        """Note what the server said as the mailbox was opened; its four numbers are the snapshot's."""
        with self._lock:
            self._opened = opened
            self._caught_up = start_over
            self._uidnext = opened.uidnext or 0
            self._gone_meanwhile = 0
            self._problem = ""
            self._failed.clear()
            self._half_told.clear()
            if start_over:
                self._rows = message_table(self._writer.read_meta, None)
                self._flags = flag_table(self._writer.read_meta, None)
                self._octets = 0

    def same_validity(self, opened: Opened) -> bool:
        """Say whether a mailbox opened again is still the one that was opened first."""
        with self._lock:
            return self._opened is not None and self._opened.uidvalidity == opened.uidvalidity

    def expect_windows(self, count: int, highest_uid: int) -> None:
        """Note how many windows of new messages are still to be read; the mailbox is whole when none is left.

        What happened to the old ones is known by then.
        """
        with self._lock:
            self._caught_up = True
            self._windows_left = count
            self._uidnext = max(self._uidnext, highest_uid + 1)

    def window_done(self) -> None:
        """Note that one of them has been read."""
        with self._lock:
            self._windows_left -= 1

    def add(self, row: MessageRow, flags: Flags) -> None:
        """Add a message."""
        with self._lock:
            self._new_rows.append(row)
            self._new_flags[row.uid] = flags
            if len(self._new_rows) >= _FOLD_AT:
                self._fold()

    def fail(self, uid: int, reason: str) -> None:
        """Note a message that the server would not give."""
        with self._lock:
            self._failed[uid] = reason

    def half_told(self, uid: int, reason: str) -> None:
        """Note a message that is kept, and of which the server did not tell all; the next run reads it again."""
        with self._lock:
            self._half_told[uid] = reason

    def gone_meanwhile(self, count: int = 1) -> None:
        """Note messages that were counted, and expunged before they were read."""
        with self._lock:
            self._gone_meanwhile += count

    def problem(self, reason: str) -> None:
        """Note why this mailbox can't be called complete."""
        with self._lock:
            self._problem = self._problem or reason

    def remove(self, uids: Iterable[int]) -> None:
        """Drop messages that the server no longer has."""
        with self._lock:
            self._removed.update(uids)
            self._fold()

    def set_flags(self, flags: Iterable[tuple[int, Flags]]) -> None:
        """Change the flags of messages that are in the table already; others are not ours to know yet."""
        changed = dict(flags)
        with self._lock:
            self._fold()
            spans = [(uid, uid) for uid in sorted(changed)]
            known = {uid for uid, _ in self._flags.within(spans)} if spans else set()
            self._new_flags.update((uid, changed[uid]) for uid in known)
            self._fold()

    def rows_within(self, ranges: Sequence[tuple[int, int]]) -> list[int]:
        """Return the UIDs in the table that lie in the given ranges."""
        with self._lock:
            self._fold()
            return [uid for uid, _ in self._flags.within(ranges)]

    def known_flags(self) -> Iterable[tuple[int, Flags]]:
        """Yield what the table holds, ascending by UID."""
        with self._lock:
            self._fold()
            return self._flags.rows()

    @property
    def pages(self) -> list[BlobId]:
        """The pages of the rows as they are now."""
        with self._lock:
            self._fold()
            return [leaf.blob for leaf in self._rows.leaves]

    @property
    def unread(self) -> int:
        """How many messages that the last snapshot knew may still come, where all is being read again."""
        before = self.plan.before
        with self._lock:
            to_come = self._opened is not None and self._windows_left and self.plan.action == "read all"
        return max(0, before.messages - self.messages) if before and to_come else 0

    @property
    def messages(self) -> int:
        """How many messages the draft holds."""
        with self._lock:
            self._fold()
            return self._rows.count

    def _fold(self) -> None:
        put = self._writer.add_meta
        if self._new_rows or self._removed:
            dropped = self._rows.update(self._new_rows, self._removed, put)
            self._octets += sum(row.size for row in self._new_rows) - sum(row.size for row in dropped)
        if self._new_flags or self._removed:
            self._flags.update(self._new_flags.items(), self._removed, put)
        self._new_rows, self._new_flags, self._removed = [], {}, set()

    def failures(self) -> list[Failure]:
        """Say what is missing: messages that failed, and counts that don't add up."""
        name = self.plan.listed.name
        with self._lock:
            found = [Failure(name, uid, reason) for uid, reason in sorted({**self._failed, **self._half_told}.items())]
            if self._problem:
                return [*found, Failure(name, None, self._problem)]
            if self._opened is None or self._windows_left:
                return [*found, Failure(name, None, "the run ended before this mailbox was read to its end")]
            exists = self._opened.exists
            if not adds_up(exists, self.messages, len(self._failed), self._gone_meanwhile):
                got = f"{self.messages} kept and {len(self._failed)} failed"
                found.append(Failure(name, None, f"the server counts {exists} messages, but {got}"))
            return found

    def mailbox(self) -> Mailbox:
        """Return the mailbox as the snapshot will hold it, all rows folded in."""
        with self._lock:
            self._fold()
            put, opened = self._writer.add_meta, self._opened
            if opened is None and self.plan.before:
                # Never opened: what the last snapshot knew still stands.
                return moved_mailbox(self.plan.before, self.plan.listed)
            return msgspec.structs.replace(
                bare_mailbox(self.plan.listed),
                uidvalidity=opened.uidvalidity if opened else 0,
                uidnext=self._uidnext,
                highestmodseq=self._highestmodseq(),
                messages=self._rows.count,
                octets=self._octets,
                rows=self._rows.write_root(put),
                flags=self._flags.write_root(put),
                failed=tuple(sorted({*self._failed, *self._half_told})),
                complete=bool(opened) and not self._windows_left and not self._problem,
            )

    def _highestmodseq(self) -> int | None:
        """Return up to where flags are known: that of the opening would make the next run pass over what it told."""
        if self._caught_up:
            return self._opened.highestmodseq if self._opened else None
        return self.plan.before.highestmodseq if self.plan.before else None


# Attributes that come and go with what is in or below a mailbox say nothing that a restore could use.
_FLEETING = {"\\marked", "\\unmarked", "\\haschildren", "\\hasnochildren", "\\subscribed"}


@lru_cache(maxsize=256)
def _lasting(attributes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(a for a in attributes if a.lower() not in _FLEETING))


def _place(listed: ListedMailbox) -> dict[str, Any]:
    """Return what a listing says of a mailbox, beside its name."""
    return {
        "delimiter": listed.delimiter,
        "attributes": _lasting(listed.attributes),
        "special_use": listed.special_use,
        "subscribed": listed.subscribed,
        "namespace": listed.namespace,
        "namespace_prefix": listed.namespace_prefix,
    }


def bare_mailbox(listed: ListedMailbox) -> Mailbox:
    """Return a mailbox's place in the hierarchy, with no messages."""
    return Mailbox(name=listed.name, raw=listed.raw, **_place(listed))


def with_belongings(mailbox: Mailbox, before: Mailbox | None, told: Belongings) -> Mailbox:
    """Return a mailbox with its access list and annotations; what the server did not tell now is as it was."""
    known = before or mailbox
    return msgspec.structs.replace(
        mailbox,
        acl=known.acl if told.acl is None else told.acl,
        rights=known.rights if told.acl is None and told.rights is None else told.rights or "",
        metadata=known.metadata if told.metadata is None else told.metadata,
    )


def moved_mailbox(before: Mailbox, listed: ListedMailbox) -> Mailbox:
    """Return a mailbox whose messages are as they were, at the place where it is listed now."""
    return msgspec.structs.replace(before, **_place(listed))
