"""What is asked for in one breath with the opening of a mailbox, so that it costs no round trip of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from imap.model import Facts
from imap.sets import Range, ranges_of


class Ahead(msgspec.Struct):
    """Facts of the messages from UID `first` on, told right behind an opening that counted `exists` messages."""

    first: int
    facts: dict[int, Facts]
    exists: int
    listed: bool = False

    def uids(self, first: int, last: int, *, whole: bool) -> list[Range] | None:
        """Return the UIDs present; None where this does not suffice, or has been asked before: let the server tell.

        For a whole mailbox they must be as many as the opening counted. How many there should be in a part of one
        nobody can say here: who finds that they don't add up asks again.
        """
        if self.listed or first < self.first:
            return None
        self.listed = True
        found = sorted(uid for uid in self.facts if first <= uid <= last)
        return None if whole and len(found) != self.exists else list(ranges_of(found))

    def holds(self, uids: Sequence[int]) -> bool:
        """Whether the facts of all these messages came."""
        return self.facts.keys() >= set(uids)

    def of(self, uids: Sequence[int]) -> Iterator[Facts]:
        """Yield the facts of messages that it holds, ascending."""
        return (self.facts[uid] for uid in sorted(uids))
