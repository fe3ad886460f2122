"""An account's mailboxes and windows of new messages, shared out over its connections."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from backup.draft import MailboxDraft
from backup.patience import PatientSession
from backup.plan import MailboxPlan
from backup.sync import WindowReader
from imap.errors import ImapError, LoginRefused

Checkpoint = Callable[[], None]
Opener = Callable[[PatientSession, MailboxPlan], Sequence[WindowReader]]
"""Opens a mailbox and returns what is to be read of it."""


class Work:
    """What is left to do, the most urgent first: mailboxes to open, and what is to be read of those that are open."""

    def __init__(self, plans: Iterable[MailboxPlan]) -> None:
        self._left: deque[MailboxPlan | WindowReader] = deque(plans)
        self._opening = 0
        self._over = False
        self._changed = threading.Condition()

    def take(self) -> MailboxPlan | WindowReader | None:
        """Take the next; wait while a mailbox that is being opened may bring more. None where nothing is left."""
        with self._changed:
            while not self._left and self._opening:
                self._changed.wait()
            if not self._left:
                return None
            item = self._left.popleft()
            self._opening += isinstance(item, MailboxPlan)
            return item

    def opened(self, windows: Sequence[WindowReader]) -> None:
        """Note that a mailbox that was taken is open, or never will be; add what others may read of it."""
        with self._changed:
            self._opening -= 1
            if not self._over:
                self._left.extendleft(reversed(windows))
            self._changed.notify_all()

    def abandon(self) -> None:
        """Let nobody take any more."""
        with self._changed:
            self._over = True
            self._left.clear()
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
            _read_mailbox(session, item, work, opener)
        checkpoint()


def _read_mailbox(session: PatientSession, plan: MailboxPlan, work: Work, opener: Opener) -> None:
    """Open a mailbox and read its newest messages; leave the rest to whoever comes."""
    windows: Sequence[WindowReader] = ()
    try:
        windows = opener(session, plan)
    finally:
        work.opened(windows[1:])
    for window in windows[:1]:
        read_window(session, window)
