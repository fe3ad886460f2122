"""Two years of hourly backups, pruned every third day: kept is what the policy says, whole, and in bounded space."""

from __future__ import annotations

import random
from datetime import datetime

import pytest

from backup.retention import Policy, Shot
from tests.backup.test_retention import naive
from tests.corpus import base64_lines, mail_with, octets, plain_mail
from tests.vault.archive import Archive
from vault.check import check_vault
from vault.vault import open_vault

POLICY = Policy(last=3, hourly=24, daily=7, weekly=5, monthly=12, yearly=3)
HOURS = 2 * 366 * 24


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_years_of_hourly_backups_keep_what_the_policy_says_whole_and_in_bounded_space() -> None:
    archive, chance = Archive(), random.Random(7)
    vault = open_vault(archive.store, archive.backup_key)
    mails: dict[int, bytes] = {}
    history, sizes, counts = [], [], []
    for hour in range(HOURS):
        # Mail comes by day and is cleared away when the mailbox is full; at night nothing changes.
        if hour % 24 in range(8, 20, 3):
            uid = hour + 1
            mails[uid] = plain_mail(uid) if uid % 5 else mail_with(base64_lines(octets(2_000, uid)), number=uid)
            if len(mails) > 60:
                for gone in sorted(mails)[: chance.randrange(1, 12)]:
                    del mails[gone]
            snapshot = archive.backup(mails, vault=vault)
            time = datetime.fromisoformat(snapshot.time)
            history.append(Shot(snapshot.id, time, snapshot.status, snapshot.sequence, snapshot.messages, time))
        else:
            archive.confirm(vault)
        if hour % 72 == 21:
            report = archive.prune(POLICY)
            kept = {s.id for s in report.snapshots if s.keep}
            # Thinned day by day or judged at once: a period's newest is the same, so long as it is still to be seen.
            assert kept == naive(history, POLICY, archive.clock.now())
        if hour % (24 * 61) == 24 * 60:
            sizes.append(archive.octets())
            counts.append(len(archive.names()))
        archive.clock.pass_(hours=1)
    archive.assert_sound(read=False)
    assert check_vault(archive.open(), read=True).damage == ()
    # The mailbox is full after a month; a year of history is full after a year.
    assert max(sizes[6:]) < 1.3 * min(sizes[6:])
    assert max(counts[6:]) < 1.3 * min(counts[6:])
