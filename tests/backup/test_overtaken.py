"""A backup that a prune overtook starts over from its checkpoint instead of committing what may be gone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.backup.site import Site, account, served
from tests.corpus import base64_lines, mail_with, octets, plain_mail
from tests.faults import Fault, FaultyStore, Watched
from tests.servers import DovecotServer
from tests.servers.maildir import deliver
from vault.clock import SystemClock
from vault.errors import Overtaken
from vault.tombstones import Tombstone, write_tombstone


class Slept(Fault):
    """While an index object is being written, days pass in which somebody prunes."""

    def __init__(self, site: Site, prefix: str, times: int) -> None:
        self.site = site
        self.prefix = prefix
        self.times = times

    def after(self, call: str, name: str) -> None:
        if call == "put" and name.startswith(self.prefix) and self.times:
            self.times -= 1
            stone = write_tombstone(self.site.store, self.site.open().ring, SystemClock(), Tombstone(time=""))
            old = stone.written.timestamp() - 90_000
            os.utime(self.site.directory / "vault" / stone.name, (old, old))


@pytest.mark.parametrize("prefix", ["index/", "snapshots/"])
def test_a_run_that_was_overtaken_starts_over_and_is_whole(dovecot: DovecotServer, tmp_path: Path, prefix: str) -> None:
    user = dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [plain_mail(1), mail_with(base64_lines(octets(50_000)))])
    site, watched = Site(tmp_path), Watched()
    report = site.backup(account(dovecot, user), store=FaultyStore(site.store, Slept(site, prefix, 1), watched))
    assert report.status == "complete"
    assert site.contents(site.snapshot(user)) == served(dovecot, user)
    looks = [name for call, name in watched.calls if (call, name) == ("list", "tombstones/")]
    assert len(looks) > 3, "it never started over"
    assert site.backup(account(dovecot, user)).store_puts == 1


def test_a_run_that_is_overtaken_again_and_again_gives_up(dovecot: DovecotServer, tmp_path: Path) -> None:
    user = dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [plain_mail(1)])
    site = Site(tmp_path)

    class Always(Slept):
        def before(self, call: str, name: str) -> None:
            if (call, name) == ("list", "tombstones/"):
                self.times = 1
                self.after("put", self.prefix)

    with pytest.raises(Overtaken, match="overtaken"):
        site.backup(account(dovecot, user), store=FaultyStore(site.store, Always(site, "index/", 0)))
    assert site.open().snapshots(user) == []
    assert site.backup(account(dovecot, user)).status == "complete"
