"""Pruning: what goes, when, and what never does. Keys at hand: the backup-only one, except for reading back."""

from __future__ import annotations

from backup.retention import Policy
from tests.corpus import base64_lines, mail_with, octets, plain_mail
from tests.vault.archive import Archive

LAST = Policy(last=1)


def attached(number: int, size: int = 6_000) -> bytes:
    return mail_with(base64_lines(octets(size, number)), number=number)


def grown(days: int = 6) -> Archive:
    """A mailbox in which each day one mail comes and the one before goes; some stay."""
    archive = Archive()
    stay = {n: plain_mail(n) for n in range(1, 5)} | {5: attached(5)}
    for day in range(days):
        archive.backup(stay | {100 + day: attached(100 + day)})
        archive.clock.pass_(hours=24)
    return archive


def test_without_retention_everything_stays() -> None:
    archive = grown()
    before = archive.names("snapshots/") + archive.names("packs/")
    archive.prune_until_settled(Policy())
    assert archive.names("snapshots/") + archive.names("packs/") == before
    archive.assert_sound()


def test_what_no_kept_snapshot_needs_goes_after_the_grace_period_and_not_before() -> None:
    archive = grown()
    archive.clock.pass_(days=3)
    before = archive.octets()
    first = archive.prune(LAST)
    assert (first.deleted, first.octets_freed) == (0, 0)
    assert first.condemned
    archive.clock.pass_(hours=47)
    assert archive.prune(LAST).deleted == 0
    archive.assert_sound()
    archive.clock.pass_(hours=2)
    assert archive.prune(LAST).deleted > 5
    archive.assert_sound()
    archive.prune_until_settled(LAST)
    archive.assert_sound()
    assert len(archive.names("snapshots/")) == 1
    assert archive.octets() < before * 0.7
