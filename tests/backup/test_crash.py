"""A backup killed at any call to the store: the vault stays sound, and the next run goes on from there."""

from __future__ import annotations

import copy
import os
import shutil
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from backup import AccountReport, BackupOptions, SourceAccount
from imap.model import Login
from imap.url import parse_url
from tests.backup.site import Site, account, served
from tests.corpus import base64_lines, mail_with, octets, plain_mail
from tests.faults import Dying, Fault, FaultyStore, Killed, Unavailable
from tests.servers import DovecotServer
from tests.servers.maildir import deliver
from tests.servers.wire import Seen
from vault import slots
from vault.check import check_vault
from vault.errors import StoreUnavailable
from vault.packer import PackLimits
from vault.stores.local import LocalStore

OFTEN = BackupOptions(
    checkpoint_packs=1,
    patience_seconds=5,
    limits=PackLimits(pack=60_000, block=20_000, alone=5_000, message_alone=5_000, in_flight=1),
)
"""Small packs, each followed by a checkpoint: it is durable when the next large mail is read."""
TALK = 30_000
"""More octets than a run hears beside mail, and fewer than one mail with an attachment has."""
FORKING = get_context("forkserver")
FORKING.set_forkserver_preload(["tests.backup.test_crash"])

Account = dict[str, list[Seen]]


@pytest.fixture(autouse=True)
def _light_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let slots be made with little memory: vaults are opened very often here."""
    monkeypatch.setattr(slots, "MEMORY_KIB", 64)


def letter(number: int) -> bytes:
    """Build a mail whose attachment fills a pack."""
    return mail_with(base64_lines(octets(70_000, number)), number=number)


@pytest.fixture
def users(dovecot: DovecotServer) -> list[str]:
    """Two accounts, with a large mail and some small ones in each mailbox."""
    made = [dovecot.new_user().name for _ in range(2)]
    for n, user in enumerate(made):
        for at, mailbox in enumerate(("INBOX", "Sent", "Work")[2 * n :]):
            number = 100 * (1 + 10 * n + at)
            deliver(dovecot, user, mailbox, [letter(number), *(plain_mail(number + i) for i in range(1, 6))])
    return made


@pytest.fixture
def grown(dovecot: DovecotServer, users: list[str], tmp_path: Path) -> Site:
    """A site that has backed the accounts up, after which mail came, was moved and was flagged."""
    site = Site(tmp_path / "grown", options=OFTEN, cache=tmp_path / "grown" / "cache")
    assert site.backup(*(account(dovecot, user) for user in users)).status == "complete"
    for n, user in enumerate(users):
        with dovecot.open(user) as imap:
            imap.create("Archive")
            imap.do("SELECT Work")
            imap.do("UID MOVE 1 Archive")
            imap.do("UID STORE 2 +FLAGS (\\Flagged)")
        for at, mailbox in enumerate(("Sent", "Work")):
            number = 100 * (50 + 10 * n + at)
            deliver(dovecot, user, mailbox, [letter(number), plain_mail(number + 1)])
    return site


def copied(site: Site, directory: Path) -> Site:
    """Return the same site, vault and cache, in another directory."""
    shutil.copytree(site.directory, directory)
    again = copy.copy(site)
    again.directory, again.store = directory, LocalStore(directory / "vault")
    again.cache = directory / "cache" if site.cache else None
    return again


def places(mailboxes: Account) -> dict[tuple[str, int], bytes]:
    return {(name, seen.uid): seen.octets for name, mails in mailboxes.items() for seen in mails}


def newest(site: Site, user: str) -> Account:
    """Return what an account's newest snapshot holds, be it a checkpoint's; nothing where there is none."""
    snapshots = site.open().snapshots(user)
    return site.contents(snapshots[-1]) if snapshots else {}


def completed(site: Site, dovecot: DovecotServer, truth: dict[str, Account]) -> dict[str, int]:
    """Demand that a vault in which a run broke off is sound, and that the next one completes it.

    Return for each account how many of the messages that it has now the newest snapshot held before.
    """
    afresh = copy.copy(site)
    afresh.cache = None
    sources = [account(dovecot, user) for user in truth]
    assert check_vault(afresh.open(), read=True).damage == ()
    held = {user: newest(afresh, user) for user in truth}
    report = site.backup(*sources)
    assert report.status == "complete"
    for one in report.accounts:
        assert_nothing_is_read_twice(one, held[one.account], truth[one.account])
        assert afresh.contents(afresh.snapshot(one.account)) == truth[one.account]
    assert check_vault(afresh.open(), read=True).damage == ()
    assert site.backup(*sources).store_puts == 1
    return {user: len(places(held[user]).keys() & places(now).keys()) for user, now in truth.items()}


def assert_nothing_is_read_twice(report: AccountReport, held: Account, now: Account) -> None:
    """Demand that a run fetched nothing that the newest snapshot before it held, be it in another mailbox."""
    before, after = places(held), places(now)
    assert all(after.get(place, mail) == mail for place, mail in before.items())
    lacking = [mail for place, mail in after.items() if place not in before]
    unknown = [mail for mail in lacking if mail not in before.values()]
    assert report.new_messages + report.known_messages + report.linked_messages == len(lacking)
    assert report.new_messages + report.known_messages <= len(unknown)
    assert report.downloaded_octets < sum(map(len, unknown)) + TALK


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after its effect"])
def test_a_backup_killed_at_any_put_is_completed_by_the_next(
    dovecot: DovecotServer, users: list[str], tmp_path: Path, *, after: bool
) -> None:
    truth = {user: served(dovecot, user) for user in users}
    sources = [account(dovecot, user) for user in users]
    new = Site(tmp_path / "new", options=OFTEN)
    kept: list[dict[str, int]] = []
    for at in range(1, 100):
        site = copied(new, tmp_path / f"{at}")
        try:
            site.backup(*sources, store=FaultyStore(site.store, Dying("put", at, late=after)))
        except Killed:
            kept.append(completed(site, dovecot, truth))
        else:
            break
    else:
        pytest.fail("the backup never ended")
    shares = [(count, len(places(truth[user]))) for found in kept for user, count in found.items()]
    assert any(0 < count < whole for count, whole in shares), "no checkpoint covered a part of an account"


def back_up_until_shot(site: Site, logins: Sequence[tuple[str, str, str]], at: int) -> None:
    """Back up accounts in this process, which dies of it unless there are fewer puts."""
    sources = [SourceAccount(user, parse_url(url), Login(partial(str, password))) for user, url, password in logins]
    site.backup(*sources, store=FaultyStore(site.store, Shot(at)))


@dataclass
class Shot(Fault):
    """The process gets SIGKILL at its n-th put, before that has any effect."""

    n: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    def before(self, call: str, name: str) -> None:
        with self.lock:
            self.n -= call == "put"
            if not self.n:
                os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_shot_at_any_put_leaves_no_cache_that_is_believed_where_it_knows_more_than_the_store(
    dovecot: DovecotServer, users: list[str], grown: Site, tmp_path: Path
) -> None:
    truth = {user: served(dovecot, user) for user in users}
    logins = [(user, dovecot.url(user), dovecot.password(user)) for user in users]
    for at in range(1, 100):
        site = copied(grown, tmp_path / f"{at}")
        process = FORKING.Process(target=back_up_until_shot, args=(site, logins, at))
        process.start()
        process.join(60)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kept = completed(site, dovecot, truth)
        assert min(kept.values()) >= 5, "the first backup's snapshot is gone"
    else:
        pytest.fail("the backup never ended")
    assert at > 6


@pytest.mark.parametrize("call", ["get", "list"])
def test_a_read_that_the_store_leaves_unanswered_once_ends_the_run_and_makes_no_snapshot_hollow(
    dovecot: DovecotServer, users: list[str], grown: Site, tmp_path: Path, call: str
) -> None:
    """On an empty machine, which must read all that it goes by. A backup beside which nobody prunes asks no `stat`."""
    truth = {user: served(dovecot, user) for user in users}
    sources = [account(dovecot, user) for user in users]
    grown.cache = None
    for good in range(0, 200, 4):
        site, silent = copied(grown, tmp_path / f"{good}"), Unavailable(call, good, 1)
        try:
            site.backup(*sources, store=FaultyStore(site.store, silent))
        except StoreUnavailable:
            completed(site, dovecot, truth)
        else:
            assert silent.times, f"the run went on without an answer to its {call} {good + 1}"
            break
    else:
        pytest.fail("the backup never ended")
    assert good > 10
