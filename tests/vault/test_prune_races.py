"""Backups and prunes at once, in any order of their calls, asleep for days between any two of them, clocks hours apart.

Whatever happens, a snapshot that stands gives back every octet. The one exception is told by the backup itself: it was
suspended for longer than half the grace period between its last look and its snapshot.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pytest

from backup.retention import Policy
from tests.corpus import base64_lines, mail_with, octets, plain_mail
from tests.vault.archive import Archive, FakeClock, contents
from tests.vault.turns import Turns
from vault.check import check_vault
from vault.errors import Damage, Overtaken
from vault.model import Snapshot
from vault.prune import PruneRefused
from vault.records import snapshot_name
from vault.stores.base import FullStore
from vault.tombstones import GRACE, read_graveyard

POOL = [plain_mail(n) for n in range(8)] + [mail_with(base64_lines(octets(5_000, n)), number=n) for n in range(4)]
"""Mails that come, go and come back, in either account."""

ACCOUNTS = ["anna", "bert", "carl"]


class World:
    """One vault, two writers, two prunes."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.archive = Archive()
        self.turns = Turns(self.archive.store, self.archive.clock, seed)
        self.deleted = 0
        self.rivals = False

    def write(self, store: FullStore, accounts: list[str], skew: float, rounds: int) -> None:
        """Back up again and again, as a job does: from the start where a prune was faster."""
        clock, chance = _Skewed(self.archive.clock, skew), random.Random(self.chance.random())
        for number in range(rounds):
            uids = chance.sample(range(len(POOL)), 6)
            mails = {uid + 1: POOL[uid] for uid in uids} | {100: POOL[0]}
            account, wary = chance.choice(accounts), False
            for _ in range(9):
                try:
                    self.archive.backup(mails, account, store=store, clock=clock, wary=wary)
                    break
                except Overtaken as overtaken:
                    wary = wary or overtaken.committed
                except Damage:
                    wary = True  # a page went while it slept over reading it: as a job does, it reads all again
            clock.base.pass_(hours=chance.choice([0, 1, 30]) if number % 2 else 0)

    def prune(self, store: FullStore, rounds: int, acknowledged: Sequence[str] = ()) -> None:
        for _ in range(rounds):
            try:
                report = self.archive.prune(Policy(last=1, daily=1), store=store, acknowledged=acknowledged)
                self.deleted += report.deleted
            except PruneRefused:
                # One of two prunes may take what the other deletes for a loss, and do nothing; one alone must not.
                if not self.rivals and not any(self.excused(s) for s in self.archive.snapshots()):
                    raise
            self.verify()
            self.archive.clock.pass_(hours=self.chance.choice([0, 20, 49]))

    def excused(self, snapshot: Snapshot) -> bool:
        """Say whether its backup slept between its last look and the snapshot: the limit of what can be promised."""
        return self.turns.slept(snapshot_name(snapshot.account_id, snapshot.id)) > GRACE / 2

    def verify(self) -> None:
        vault = self.archive.open()
        condemned = read_graveyard(self.archive.store, vault.ring).condemned
        for snapshot in vault.snapshots():
            name = snapshot_name(snapshot.account_id, snapshot.id)
            if name not in condemned and not self.excused(snapshot):
                assert contents(vault, snapshot) == self.archive.truth[snapshot.tree]
        vault.close()


class _Skewed(FakeClock):
    def __init__(self, base: FakeClock, hours: float) -> None:
        self.base = base
        self.hours = hours

    def now(self) -> datetime:
        return self.base.now() + timedelta(hours=self.hours)


@pytest.mark.parametrize("prunes", [1, 2])
@pytest.mark.parametrize("seed", range(40))
def test_no_snapshot_that_stands_ever_loses_an_octet(seed: int, prunes: int) -> None:
    world = World(seed)
    skews = world.chance.choices([-9, -3, 0, 3, 9], k=2)
    actors: dict[str, Callable[[FullStore], None]] = {
        "one": lambda store: world.write(store, ACCOUNTS[:2], skews[0], 7),
        "two": lambda store: world.write(store, ACCOUNTS[1:], skews[1], 7),
    }
    for number in range(prunes):
        actors[f"prune {number}"] = lambda store: world.prune(store, 10 // prunes)
    world.rivals = prunes > 1
    world.turns.run(actors)
    world.rivals = False
    world.verify()
    world.archive.clock.pass_(days=3)
    for _ in range(3):
        # What one of two prunes deleted, the other may have counted as standing: an administrator says that it may go.
        world.prune(world.archive.store, 1, ACCOUNTS if prunes > 1 else ())
        world.archive.clock.pass_(days=3)
    if not any(world.excused(s) for s in world.archive.snapshots()):
        assert check_vault(world.archive.open(), read=True).damage == ()
