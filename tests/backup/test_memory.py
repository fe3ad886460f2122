"""What a mailbox that is as large as they get takes in memory."""

from __future__ import annotations

import tracemalloc

from backup.budget import Allowance
from backup.draft import MailboxDraft
from backup.links import Links
from backup.plan import WINDOW, plan_sync, windows
from backup.sync import Reading, Tally, WindowReader
from imap.model import ListedMailbox, MailboxStatus
from tests.vault.archive import Archive
from vault.clock import Quiet
from vault.writer import VaultWriter

MILLION = 1_000_000


def test_a_million_mails_take_next_to_no_memory_until_their_turn_comes() -> None:
    archive = Archive()
    vault = archive.open()
    writer = VaultWriter(vault, archive.store, clock=archive.clock)
    status = MailboxStatus(MILLION, MILLION + 1, 1, 1)
    listed = ListedMailbox("INBOX", b"INBOX", "/", (), None, subscribed=True, status=status)
    (plan,) = plan_sync(None, [listed]).mailboxes
    links = Links(vault, writer, vault.ring.account_id("anna"), "X-GUID", None)
    reading = Reading("anna", writer, links, Quiet(), Tally(), Allowance(None, int), lambda: False)
    draft = MailboxDraft(plan, writer)
    tracemalloc.start()
    try:
        waiting = [WindowReader(draft, window, reading) for window in windows([(1, MILLION)], WINDOW)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        writer.close()
    assert len(waiting) == MILLION // WINDOW
    assert peak < 1 << 20
