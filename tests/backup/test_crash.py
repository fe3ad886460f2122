"""A backup killed at any call to the store: the vault stays sound, and the next run goes on from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from backup import BackupOptions
from tests.backup.site import Site, account, only, served
from tests.corpus import base64_lines, mail_with, octets, plain_mail
from tests.faults import Dying, FaultyStore, Killed
from tests.servers import DovecotServer
from tests.servers.maildir import deliver
from vault.packer import PackLimits

OFTEN = BackupOptions(
    checkpoint_packs=1,
    patience_seconds=5,
    limits=PackLimits(pack=300_000, block=20_000, alone=5_000, message_alone=5_000),
)
"""Small packs, each followed by a checkpoint."""


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after its effect"])
def test_a_backup_killed_at_any_put_is_completed_by_the_next(
    dovecot: DovecotServer, tmp_path: Path, *, after: bool
) -> None:
    users = [dovecot.new_user().name for _ in range(2)]
    for n, user in enumerate(users):
        attachment = mail_with(base64_lines(octets(100_000, n)))
        deliver(dovecot, user, "INBOX", [attachment, *(plain_mail(100 * n + i) for i in range(40))])
    truth = {user: served(dovecot, user) for user in users}
    for at in range(1, 100):
        (directory := tmp_path / f"{at}").mkdir()
        site = Site(directory, options=OFTEN)
        sources = [account(dovecot, user) for user in users]
        try:
            site.backup(*sources, store=FaultyStore(site.store, Dying("put", at, late=after)))
        except Killed:
            pass
        else:
            assert at > 5, "the backup wrote less than a whole vault"
            return
        report = site.backup(*sources)
        assert report.status == "complete"
        for user in users:
            assert site.contents(site.snapshot(user)) == truth[user]
        assert site.backup(*sources).store_puts == 1
    pytest.fail("the backup never ended")


def test_what_a_checkpoint_covers_is_not_fetched_again(dovecot: DovecotServer, tmp_path: Path) -> None:
    user = dovecot.new_user().name
    mailboxes = [f"Box {n}" for n in range(6)]
    for n, mailbox in enumerate(mailboxes):
        deliver(dovecot, user, mailbox, [mail_with(base64_lines(octets(200_000, 10 * n + i))) for i in range(5)])
    site = Site(tmp_path, options=OFTEN)
    with pytest.raises(Killed):
        site.backup(account(dovecot, user), store=FaultyStore(site.store, Dying("put", 12, late=True)))
    kept = site.snapshot(user)
    assert kept.status == "partial"
    assert kept.messages
    report = only(site.backup(account(dovecot, user)))
    assert report.new_messages + report.known_messages == 30 - kept.messages
