"""Comparing two snapshots, as a pure function over placed messages."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from restante.diffing import Placed, compare
from vault.ids import BlobId


def placed(mailbox: str, uid: int, letter: str, *flags: str) -> Placed:
    return Placed(mailbox, uid, BlobId(letter.encode().ljust(16)), flags)


def test_a_message_in_another_mailbox_has_moved() -> None:
    before = {"INBOX": [placed("INBOX", 1, "a")], "Archive": []}
    after = {"INBOX": [], "Archive": [placed("Archive", 7, "a")]}
    found = compare(before, after)
    assert [(m.before.mailbox, m.after.mailbox) for m in found.moved] == [("INBOX", "Archive")]
    assert not found.came
    assert not found.went


def test_a_renumbered_mailbox_differs_in_nothing() -> None:
    before = {"INBOX": [placed("INBOX", 1, "a"), placed("INBOX", 2, "b")]}
    after = {"INBOX": [placed("INBOX", 101, "a"), placed("INBOX", 102, "b")]}
    assert not any(compare(before, after))


def test_two_equal_messages_stay_two() -> None:
    before = {"INBOX": [placed("INBOX", 1, "a"), placed("INBOX", 2, "a")]}
    after = {"INBOX": [placed("INBOX", 1, "a")]}
    assert [p.uid for p in compare(before, after).went] == [2]


def test_flags_and_mailboxes_that_changed_are_told() -> None:
    found = compare({"A": [placed("A", 1, "a")]}, {"A": [placed("A", 1, "a", "\\Seen")], "B": []})
    assert [m.after.flags for m in found.flags] == [("\\Seen",)]
    assert found.mailboxes_came == ["B"]
    assert found.mailboxes_went == []


SNAPSHOTS = st.dictionaries(st.sampled_from("AB"), st.lists(st.sampled_from("xyz"), max_size=6), max_size=2)


@given(SNAPSHOTS, SNAPSHOTS)
def test_what_came_and_went_and_moved_adds_up(before: dict[str, list[str]], after: dict[str, list[str]]) -> None:
    old = {m: [placed(m, uid, letter) for uid, letter in enumerate(letters, 1)] for m, letters in before.items()}
    new = {m: [placed(m, uid, letter) for uid, letter in enumerate(letters, 1)] for m, letters in after.items()}
    found = compare(old, new)
    count = Counter((p.mailbox, p.blob) for rows in old.values() for p in rows)
    count.subtract((p.mailbox, p.blob) for p in [*found.went, *(m.before for m in found.moved)])
    count.update((p.mailbox, p.blob) for p in [*found.came, *(m.after for m in found.moved)])
    assert +count == Counter((p.mailbox, p.blob) for rows in new.values() for p in rows)
    assert not {p.blob for p in found.came} & {p.blob for p in found.went}
