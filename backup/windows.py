"""An account's mailboxes and windows of new messages, shared out over its connections."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from backup.draft import MailboxDraft
from backup.patience import PatientSession
from backup.plan import MailboxPlan, plan_breath
from backup.sync import WindowReader, prepare
from imap.errors import ImapError, LoginRefused

Checkpoint = Callable[[], None]
Opener = Callable[[PatientSession, MailboxPlan], Sequence[WindowReader]]
"""Opens a mailbox and returns what is to be read of it."""


class Work:
    """What is left to do, the most urgent first: mailboxes to open, and what is to be read of those that are open."""

    def __init__(self, plans: Iterable[MailboxPlan], connections: int = 1) -> None:
        self._plans = list(plans)
        self._windows: deque[WindowReader] = deque()
        self._connections = connections
        self._opening = 0
        self._over = False
        self._changed = threading.Condition()

    def take(self) -> WindowReader | list[MailboxPlan] | None:
        """Take the next, mailboxes several at a time; who does says `opened` of each, or gives it back.

        Waits while mailboxes that others have taken may bring more. None where nothing is left.
        """
        with self._changed:
            while not (self._windows or self._plans) and self._opening:
                self._changed.wait()
            if self._windows:
                return self._windows.popleft()
            if not self._plans:
                return None
            count = plan_breath(self._plans, self._connections)
            taken, self._plans = self._plans[:count], self._plans[count:]
            self._opening += count
            return taken

    def opened(self, windows: Sequence[WindowReader]) -> None:
        """Note that a mailbox is open, or never will be; add what others may read of it."""
        with self._changed:
            self._opening -= 1
            if not self._over:
                self._windows.extend(windows)
            self._changed.notify_all()

    def give_back(self, unread: Sequence[MailboxPlan]) -> None:
        """Let others have mailboxes that were taken and not begun."""
        with self._changed:
            self._opening -= len(unread)
            if not self._over:
                self._plans = [*unread, *self._plans]
            self._changed.notify_all()

    def abandon(self) -> None:
        """Let nobody take any more."""
        with self._changed:
            self._over = True
            self._plans.clear()
            self._windows.clear()
            self._changed.notify_all()


def read_window(session: PatientSession, window: WindowReader) -> None:
    """Read one window, patiently; trouble with its mailbox alone is noted there."""
    try:
        session.run(lambda opened: window.read(opened, session.progress))
    except ImapError as error:
        isolate(window.draft, error)


def isolate(draft: MailboxDraft, error: ImapError) -> None:
    """Keep one mailbox that can't be read from stopping the others; a dead connection or login must."""
    if error.retryable or isinstance(error, LoginRefused):
        raise error
    draft.problem(error.message)


def read_mailboxes(
    main: PatientSession, helpers: Sequence[PatientSession], work: Work, opener: Opener, checkpoint: Checkpoint
) -> None:
    """Do all the work, in order, over the main connection and as many helping ones as the server allows."""
    if not helpers:
        _drain(main, work, opener, checkpoint)
        return
    with ThreadPoolExecutor(len(helpers), thread_name_prefix="fetch") as pool:
        futures = [pool.submit(_help, helper, work, opener, checkpoint) for helper in helpers]
        try:
            _drain(main, work, opener, checkpoint)
        except BaseException:
            work.abandon()
            raise
    for future in futures:
        future.result()


def _help(helper: PatientSession, work: Work, opener: Opener, checkpoint: Checkpoint) -> None:
    try:
        helper.run(lambda _: None)
    except ImapError:
        return  # a server that allows fewer connections is served with those it allows
    try:
        _drain(helper, work, opener, checkpoint)
    except ImapError:
        raise  # others may still get through
    except BaseException:
        work.abandon()
        raise
    finally:
        helper.close()


def _drain(session: PatientSession, work: Work, opener: Opener, checkpoint: Checkpoint) -> None:
    while (item := work.take()) is not None:
        if isinstance(item, WindowReader):
            read_window(session, item)
        else:
            _read_mailboxes(session, item, work, opener, checkpoint)
        checkpoint()


def _read_mailboxes(
    session: PatientSession, plans: Sequence[MailboxPlan], work: Work, opener: Opener, checkpoint: Checkpoint
) -> None:
    """Open mailboxes and read the newest messages of each; leave the rest to whoever comes."""
    unread = deque(plans)
    try:
        _prepare(session, plans)
        while unread:
            _read_mailbox(session, unread.popleft(), work, opener)
            checkpoint()
    finally:
        work.give_back(list(unread))


def _prepare(session: PatientSession, plans: Sequence[MailboxPlan]) -> None:
    """Open mailboxes in one breath; where the connection breaks at that, they are opened one by one."""
    tries = deque((plans,))
    session.run(lambda opened: prepare(opened, tries.pop()) if tries else None)


def _read_mailbox(session: PatientSession, plan: MailboxPlan, work: Work, opener: Opener) -> None:
    windows: Sequence[WindowReader] = ()
    try:
        windows = opener(session, plan)
    finally:
        work.opened(windows[1:])
    for window in windows[:1]:
        read_window(session, window)
