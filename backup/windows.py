"""Reading windows of new messages over several connections of one account."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from backup.draft import MailboxDraft
from backup.patience import PatientSession
from backup.sync import WindowReader
from imap.errors import ImapError, LoginRefused

Checkpoint = Callable[[], None]


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


def read_windows(
    main: PatientSession, helpers: Sequence[PatientSession], work: deque[WindowReader], checkpoint: Checkpoint
) -> None:
    """Read all windows, in order, over the main connection and as many helping ones as the server allows."""
    if not helpers:
        _drain(main, work, checkpoint)
        return
    with ThreadPoolExecutor(len(helpers), thread_name_prefix="fetch") as pool:
        futures = [pool.submit(_help, helper, work, checkpoint) for helper in helpers]
        try:
            _drain(main, work, checkpoint)
        except BaseException:
            work.clear()
            raise
    for future in futures:
        future.result()


def _help(helper: PatientSession, work: deque[WindowReader], checkpoint: Checkpoint) -> None:
    try:
        helper.run(lambda _: None)
    except ImapError:
        return  # a server that allows fewer connections is served with those it allows
    _drain(helper, work, checkpoint)


def _drain(session: PatientSession, work: deque[WindowReader], checkpoint: Checkpoint) -> None:
    while True:
        try:
            window = work.popleft()
        except IndexError:
            return
        read_window(session, window)
        checkpoint()
