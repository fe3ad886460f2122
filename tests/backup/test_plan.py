"""What a backup decides to ask the server for."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from backup.plan import (
    MailboxPlan,
    adds_up,
    count_alarm,
    expand,
    plan_ahead,
    plan_catch_up,
    plan_connections,
    plan_mailbox,
    plan_sync,
    subtract,
    windows,
)
from imap.model import ListedMailbox, MailboxStatus, Opened
from vault.model import Mailbox, Tree


def listed(name: str = "INBOX", *, messages: int = 3, uidvalidity: int = 7, modseq: int | None = 40) -> ListedMailbox:
    status = MailboxStatus(messages, messages + 1, uidvalidity, modseq)
    return ListedMailbox(name, name.encode(), "/", (), None, True, status)


def kept(name: str = "INBOX", *, messages: int = 3, uidvalidity: int = 7, modseq: int | None = 40) -> Mailbox:
    return Mailbox(
        name=name,
        raw=name.encode(),
        uidvalidity=uidvalidity,
        uidnext=messages + 1,
        highestmodseq=modseq,
        messages=messages,
    )


def opened(*, exists: int = 3, modseq: int | None = 41, told: bool = False) -> Opened:
    return Opened(7, exists + 1, exists, modseq, frozenset(), () if told else None, () if told else None)


def actions(previous: Tree | None, *listing: ListedMailbox) -> list[str]:
    return [plan.action for plan in plan_sync(previous, listing).mailboxes]


class Walked(list[ListedMailbox]):
    """A listing that counts how often it is gone through."""

    walks = 0

    def __iter__(self) -> Iterator[ListedMailbox]:
        self.walks += 1
        return super().__iter__()


def test_a_listing_is_gone_through_no_more_often_however_many_mailboxes_there_are() -> None:
    few, many = (Walked(listed(f"Case {number}") for number in range(count)) for count in (2, 200))
    for listing in (few, many):
        plan_sync(Tree(tuple(kept(mailbox.name) for mailbox in listing)), listing)
    assert few.walks == many.walks


def test_a_mailbox_whose_four_numbers_stand_is_not_opened() -> None:
    assert actions(Tree((kept(),)), listed()) == ["keep"]


def test_without_a_modseq_flags_may_have_changed_so_the_mailbox_is_opened() -> None:
    assert actions(Tree((kept(modseq=None),)), listed(modseq=None)) == ["catch up"]


def test_a_mailbox_that_the_last_run_did_not_finish_is_opened_though_its_numbers_stand() -> None:
    half = Mailbox(name="INBOX", raw=b"INBOX", uidvalidity=7, uidnext=4, highestmodseq=40, messages=3, complete=False)
    assert actions(Tree((half,)), listed()) == ["catch up"]


def test_messages_that_failed_are_tried_again() -> None:
    short = Mailbox(name="INBOX", raw=b"INBOX", uidvalidity=7, uidnext=4, highestmodseq=40, messages=3, failed=(2,))
    assert actions(Tree((short,)), listed()) == ["catch up"]


def test_a_renumbered_mailbox_is_read_again_and_nothing_is_called_gone() -> None:
    plan = plan_sync(Tree((kept(),)), [listed(uidvalidity=8)])
    assert [p.action for p in plan.mailboxes] == ["read all"]
    assert plan.alarms == ("mailbox INBOX: UIDVALIDITY changed from 7 to 8; all of it is read again",)


def test_a_mailbox_whose_uidnext_went_back_holds_other_messages_under_old_uids() -> None:
    plan = plan_sync(Tree((kept(messages=5),)), [listed(messages=3)])
    assert [p.action for p in plan.mailboxes] == ["read all"]
    assert plan.alarms == ("mailbox INBOX: UIDNEXT went back from 6 to 4; all of it is read again",)


def test_a_mailbox_suddenly_empty_raises_an_alarm() -> None:
    empty = ListedMailbox("INBOX", b"INBOX", "/", (), None, True, MailboxStatus(0, 51, 7, 41))
    plan = plan_sync(Tree((kept(messages=50),)), [empty])
    assert plan.alarms == ("mailbox INBOX held 50 messages and is empty now",)


def test_a_listing_that_lost_most_mailboxes_raises_an_alarm() -> None:
    before = Tree(tuple(kept(name) for name in ("INBOX", "a", "b")))
    assert plan_sync(before, [listed()]).alarms == ("2 mailboxes with 6 messages are no longer listed",)


def test_inbox_is_read_first_and_junk_last() -> None:
    junk = ListedMailbox("Aaa", b"Aaa", "/", (), "\\Junk", True, MailboxStatus(1, 2, 1, 1))
    plan = plan_sync(None, [junk, listed("Sent"), listed("INBOX")])
    assert [p.listed.name for p in plan.mailboxes] == ["INBOX", "Sent", "Aaa"]


def test_an_excluded_mailbox_is_left_out_and_not_called_gone() -> None:
    plan = plan_sync(Tree((kept("Junk", messages=99), kept())), [listed(), listed("Junk")], ["junk"])
    assert [p.listed.name for p in plan.mailboxes] == ["INBOX"]
    assert not plan.alarms


def test_a_mailbox_without_status_is_unreadable_unless_it_holds_no_messages() -> None:
    parent = ListedMailbox("a", b"a", "/", ("\\Noselect",), None, False, None)
    broken = ListedMailbox("b", b"b", "/", (), None, False, None)
    assert actions(None, parent, broken) == ["name only", "unreadable"]


def test_the_cheapest_honest_way_to_catch_up_is_chosen() -> None:
    assert plan_catch_up(kept(), opened(told=True), condstore=True).how == "told"
    assert plan_catch_up(kept(), opened(), condstore=True).how == "ask"
    assert plan_catch_up(kept(), opened(), condstore=False).how == "scan"
    assert plan_catch_up(kept(), opened(modseq=39), condstore=True).how == "scan"


def test_counts_add_up_or_they_do_not() -> None:
    assert adds_up(exists=10, kept=8, failed=2, gone_meanwhile=0)
    assert adds_up(exists=10, kept=8, failed=0, gone_meanwhile=2)
    assert not adds_up(exists=10, kept=8, failed=1, gone_meanwhile=0)


def test_losing_more_than_half_of_an_account_raises_an_alarm() -> None:
    assert count_alarm(100, 49)
    assert not count_alarm(100, 50)


ranges = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 20)), max_size=8).map(
    lambda pairs: [(a * 100, a * 100 + b) for a, b in sorted(dict(pairs).items())]
)


@given(ranges, st.integers(1, 30))
def test_windows_hold_every_uid_once_newest_first(spans: list[tuple[int, int]], size: int) -> None:
    found = [uid for window in windows(spans, size) for uid in expand(window)]
    assert found == sorted({uid for first, last in spans for uid in range(first, last + 1)}, reverse=True)
    assert all(len(expand(window)) <= size for window in windows(spans, size))


@given(ranges, st.sets(st.integers(90, 5100)))
def test_subtracting_uids_leaves_exactly_the_others(spans: list[tuple[int, int]], uids: set[int]) -> None:
    left = {uid for first, last in subtract(spans, sorted(uids)) for uid in range(first, last + 1)}
    assert left == {uid for first, last in spans for uid in range(first, last + 1)} - uids


def reading(*, messages: int) -> MailboxPlan:
    """Plan a mailbox that is new."""
    return plan_mailbox(None, listed(messages=messages))


def grown(before: int, now: int) -> MailboxPlan:
    """Plan a mailbox that held fewer messages before."""
    return plan_mailbox(kept(messages=before), listed(messages=now, modseq=41))


def test_a_second_connection_is_made_only_where_there_is_enough_to_do() -> None:
    assert plan_connections([grown(3, 4)], 2) == 1
    assert plan_connections([grown(3, 4)] * 7, 2) == 1
    assert plan_connections([grown(3, 4)] * 8, 2) == 2
    assert plan_connections([reading(messages=150)], 2) == 1
    assert plan_connections([reading(messages=1500)], 2) == 1
    assert plan_connections([reading(messages=2001)], 2) == 2
    assert plan_connections([reading(messages=150)] * 2, 4) == 2
    assert plan_connections([reading(messages=100_000)], 4) == 4
    assert plan_connections([reading(messages=100_000)], 1) == 1


def test_messages_are_asked_for_along_with_the_opening_where_they_are_few() -> None:
    assert plan_ahead(reading(messages=2000)) == 1
    assert plan_ahead(reading(messages=2001)) == 0
    assert plan_ahead(reading(messages=0)) == 0
    assert plan_ahead(grown(100_000, 100_003)) == 100_001
    assert plan_ahead(grown(3, 3)) == 0
    assert plan_ahead(grown(3, 5000)) == 0
    assert plan_ahead(plan_mailbox(replace(kept(), failed=(2,)), listed(messages=4))) == 0
    assert plan_ahead(plan_mailbox(replace(kept(), complete=False), listed(messages=4))) == 0
