"""How an account's mailboxes are shared out over its connections."""

from __future__ import annotations

import threading

from backup.plan import plan_sync
from backup.windows import Work
from imap.model import ListedMailbox, MailboxStatus


def work(count: int, connections: int = 1) -> Work:
    status = MailboxStatus(3, 4, 7, 40)
    names = [f"Folder {n:02}" for n in range(count)]
    listing = [ListedMailbox(name, name.encode(), "/", (), None, True, status) for name in names]
    return Work(plan_sync(None, listing).mailboxes, connections)


def names(taken: object) -> list[str]:
    assert isinstance(taken, list)
    return [plan.listed.name for plan in taken]


def test_what_one_connection_took_and_did_not_begin_is_read_by_another_in_order() -> None:
    shared = work(6, connections=2)
    first = shared.take()
    assert names(first) == ["Folder 00", "Folder 01", "Folder 02"]
    assert isinstance(first, list)
    shared.opened(())
    shared.give_back(first[1:])
    assert names(shared.take()) == ["Folder 01", "Folder 02", "Folder 03"]


def test_nobody_goes_home_while_a_mailbox_that_is_being_opened_may_bring_more() -> None:
    shared = work(1, connections=2)
    taken = shared.take()
    assert isinstance(taken, list)
    waiting: list[object] = []
    other = threading.Thread(target=lambda: waiting.append(shared.take()), daemon=True)
    other.start()
    other.join(0.2)
    assert other.is_alive()
    shared.give_back(taken)
    other.join(10)
    assert waiting == [taken]


def test_once_it_is_abandoned_nothing_is_left_and_nobody_waits() -> None:
    shared = work(9)
    taken = shared.take()
    assert isinstance(taken, list)
    shared.abandon()
    shared.give_back(taken)
    assert shared.take() is None
