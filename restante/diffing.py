"""What came, went, moved and changed flags between two snapshots: pure, over rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from vault.ids import BlobId
from vault.model import Flags


class Placed(NamedTuple):
    """One message at its place in one snapshot."""

    mailbox: str
    uid: int
    blob: BlobId
    flags: Flags


class Moved(NamedTuple):
    """One message that left a mailbox for another."""

    before: Placed
    after: Placed


class Difference(NamedTuple):
    """What lies between two snapshots; `flags` pairs the same message before and after."""

    mailboxes_came: list[str]
    mailboxes_went: list[str]
    came: list[Placed]
    went: list[Placed]
    moved: list[Moved]
    flags: list[Moved]


def compare(before: Mapping[str, Iterable[Placed]], after: Mapping[str, Iterable[Placed]]) -> Difference:
    """Compare two snapshots, each given as mailbox name → messages. Equal messages are counted, not merged."""
    came: list[Placed] = []
    went: list[Placed] = []
    flags: list[Moved] = []
    for mailbox in sorted(before.keys() | after.keys()):
        same, gone, new = _pair(before.get(mailbox, ()), after.get(mailbox, ()))
        flags += [pair for pair in same if pair.before.flags != pair.after.flags]
        went, came = went + gone, came + new
    moved, came, went = _moves(came, went)
    new_names, old_names = sorted(after.keys() - before.keys()), sorted(before.keys() - after.keys())
    return Difference(new_names, old_names, came, went, moved, flags)


def _pair(before: Iterable[Placed], after: Iterable[Placed]) -> tuple[list[Moved], list[Placed], list[Placed]]:
    """Pair equal messages in order of UID; return the pairs, what is left of before, and what is left of after."""
    waiting: dict[BlobId, list[Placed]] = defaultdict(list)
    for placed in before:
        waiting[placed.blob].append(placed)
    pairs: list[Moved] = []
    new: list[Placed] = []
    for placed in after:
        found = waiting.get(placed.blob)
        if found:
            pairs.append(Moved(found.pop(0), placed))
        else:
            new.append(placed)
    return pairs, [placed for rest in waiting.values() for placed in rest], new


def _moves(came: list[Placed], went: list[Placed]) -> tuple[list[Moved], list[Placed], list[Placed]]:
    moved, gone, new = _pair(went, came)
    return moved, new, gone
