"""A backup by several processes: the same vault as by one, whatever becomes of the processes, the store, the server."""

from __future__ import annotations

import errno
import os
import pickle
import secrets
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from multiprocessing import Pipe, active_children
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import pytest

from backup import BackupOptions, SourceAccount
from backup.job import processes_for
from imap.model import Endpoint, Login
from imap.pace import Pace
from tests.backup.site import Site, account, served
from tests.corpus import base64_lines, mail_with, octets, plain_mail
from tests.faults import Fault, FaultyStore, Unavailable
from tests.secret import new_secret
from tests.servers import DovecotServer
from tests.servers.maildir import deliver
from vault.calls import Calls, ProcessLost
from vault.check import check_vault
from vault.claims import Claims
from vault.clock import Quiet
from vault.errors import StoreUnavailable
from vault.ids import BlobId, ObjectName
from vault.packer import PackLimits

SENT_TO_ALL = [base64_lines(octets(150_000, n)) for n in range(6)]
BY_TWO = BackupOptions(processes=2, patience_seconds=20, timeout_seconds=20)
OFTEN = replace(
    BY_TWO,
    checkpoint_packs=1,
    limits=PackLimits(pack=300_000, meta=2_000, block=20_000, alone=5_000, message_alone=5_000),
)
"""Small packs, and a checkpoint whenever one is sent."""


@pytest.fixture
def users(dovecot: DovecotServer) -> list[str]:
    made = [dovecot.new_user().name for _ in range(4)]
    for number, user in enumerate(made):
        deliver(dovecot, user, "INBOX", [mail_with(sent, number=number) for sent in SENT_TO_ALL])
        deliver(dovecot, user, "Archive", [plain_mail(100 * number + n) for n in range(60)])
    return made


def test_two_processes_make_the_same_vault_as_one(dovecot: DovecotServer, users: list[str], tmp_path: Path) -> None:
    truth = {user: served(dovecot, user) for user in users}
    stored, puts = [], []
    for processes in (1, 2):
        (directory := tmp_path / str(processes)).mkdir()
        site = Site(directory, options=replace(BY_TWO, processes=processes))
        report = site.backup(*(account(dovecot, user) for user in users))
        assert report.status == "complete"
        assert [one.new_messages for one in report.accounts] == [66] * 4
        assert {user: site.contents(site.snapshot(user)) for user in users} == truth
        assert check_vault(site.open(), read=True).damage == ()
        assert site.backup(*(account(dovecot, user) for user in users)).store_puts == 1
        stored.append(report.store_octets)
        puts.append(report.store_puts)
    assert stored[1] < 1.05 * stored[0]
    assert stored[1] < 1.3 * sum(map(len, SENT_TO_ALL))
    assert puts == [1 + 1 + 1 + 4 + 1] * 2, "a pack, a meta object, an index, a snapshot an account, a run record"


def test_what_processes_have_left_over_shares_packs_with_the_catalogue_of_each(
    dovecot: DovecotServer, users: list[str], tmp_path: Path
) -> None:
    limits = PackLimits(pack=400_000, block=20_000, alone=5_000, message_alone=5_000)
    site = Site(tmp_path, options=replace(BY_TWO, limits=limits))
    report = site.backup(*(account(dovecot, user) for user in users))
    assert report.store_puts <= report.store_octets / (limits.pack * 3 / 4) + 4 + len(users)
    vault = site.open()
    mailboxes = [mailbox for user in users for mailbox in vault.tree(site.snapshot(user)).mailboxes]
    blobs = {row.blob for mailbox in mailboxes for row in vault.rows(mailbox)}
    assert len(blobs) == 6 * len(users) + 60 * len(users)
    assert vault.catalogue(blobs).keys() == blobs


def test_whenever_the_store_falls_silent_the_vault_is_sound_and_the_next_run_completes_it(
    dovecot: DovecotServer, users: list[str], tmp_path: Path
) -> None:
    sources = [account(dovecot, user) for user in users]
    truth = {user: served(dovecot, user) for user in users}
    for puts in (0, 1, 2, 3, 5, 7, 9, 12, 15, 18, 21, 24, 27, 30, 40, 60, 100):
        (directory := tmp_path / str(puts)).mkdir()
        site = Site(directory, options=OFTEN)
        try:
            site.backup(*sources, store=FaultyStore(site.store, Unavailable("put", puts)))
        except StoreUnavailable:
            pass
        else:
            assert puts > 10, "the backup wrote less than a whole vault"
            break
        assert check_vault(site.open(), read=True).damage == ()
        assert site.backup(*sources).status == "complete"
        assert {user: site.contents(site.snapshot(user)) for user in users} == truth
    else:
        pytest.fail("the backup never ended")


class Hiccup(Fault):
    """One put fails, and the store is well again: the n-th of a kind of object."""

    def __init__(self, kind: str, n: int) -> None:
        self.kind, self.n = kind, n
        self.lock = threading.Lock()

    def before(self, call: str, name: str) -> None:
        if call == "put" and name.startswith(self.kind):
            with self.lock:
                self.n -= 1
                if self.n == 0:
                    raise StoreUnavailable("the store hiccups")


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("kind", ["packs/", "meta/", "index/"])
def test_what_one_failed_write_lost_no_snapshot_ever_names(
    dovecot: DovecotServer, users: list[str], tmp_path: Path, kind: str, processes: int
) -> None:
    sources = [account(dovecot, user) for user in users]
    for n in (1, 3):
        (directory := tmp_path / str(n)).mkdir()
        site = Site(directory, options=replace(OFTEN, processes=processes))
        with pytest.raises(StoreUnavailable, match="hiccups"):
            site.backup(*sources, store=FaultyStore(site.store, Hiccup(kind, n)))
        assert check_vault(site.open(), read=True).damage == ()
        assert site.backup(*sources).status == "complete"
        assert {user: site.contents(site.snapshot(user)) for user in users} == {u: served(dovecot, u) for u in users}


class At(Quiet):
    """Does something once a message was read."""

    def __init__(self, do: Callable[[], object]) -> None:
        self.do = do
        self.done = False

    def advance(self, account: str, messages: int, octets: int) -> None:
        if not self.done:
            self.done = True
            self.do()


def kill_one() -> None:
    os.kill(next(child.pid or 0 for child in active_children() if child.name == "hand"), signal.SIGKILL)


def more_mail(dovecot: DovecotServer, users: list[str]) -> None:
    """So much that nobody is done by the time progress is told."""
    for number, user in enumerate(users):
        deliver(dovecot, user, "More", [plain_mail(10_000 * number + n, body=b"x" * 3_000) for n in range(1_500)])


def test_a_process_that_dies_ends_the_job_and_the_next_one_completes_it(
    dovecot: DovecotServer, users: list[str], tmp_path: Path
) -> None:
    more_mail(dovecot, users)
    sources, site = [account(dovecot, user) for user in users], Site(tmp_path, options=OFTEN)
    with pytest.raises(ProcessLost, match="ended by itself"):
        site.backup(*sources, progress=At(kill_one))
    assert not [child for child in active_children() if child.name == "hand"]
    assert check_vault(site.open(), read=True).damage == ()
    assert site.backup(*sources).status == "complete"
    assert {user: site.contents(site.snapshot(user)) for user in users} == {u: served(dovecot, u) for u in users}


def test_told_to_stop_all_processes_do_and_what_they_have_read_is_kept(
    dovecot: DovecotServer, users: list[str], tmp_path: Path
) -> None:
    more_mail(dovecot, users)
    sources, site, stop = [account(dovecot, user) for user in users], Site(tmp_path, options=BY_TWO), threading.Event()
    report = site.backup(*sources, stop=stop, progress=At(stop.set))
    assert report.status == "interrupted"
    kept = [one.new_messages for one in report.accounts]
    assert 0 < sum(kept) < 4 * 1_566
    again = site.backup(*sources)
    assert again.status == "complete"
    assert [one.new_messages for one in again.accounts] == [1_566 - number for number in kept]


def test_an_account_that_may_not_log_in_does_not_disturb_the_others(
    dovecot: DovecotServer, users: list[str], tmp_path: Path
) -> None:
    sources = [account(dovecot, user) for user in users]
    sources[1] = replace(sources[1], login=Login(new_secret))
    report = Site(tmp_path, options=BY_TWO).backup(*sources)
    assert [one.status for one in report.accounts] == ["complete", "failed", "complete", "complete"]
    assert "refuses the login" in report.accounts[1].failures[0].reason


def test_a_process_that_reads_accounts_gets_no_key_to_mail_and_no_login_but_as_it_connects(
    dovecot: DovecotServer, users: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    real, begin = SpawnProcess.start, Calls.begin

    def overheard(calls: Calls, what: str, *arguments: object) -> Future[Any]:
        sent.append(pickle.dumps(arguments))
        return begin(calls, what, *arguments)

    def watched(process: SpawnProcess) -> None:
        outset = process._args[0]  # type: ignore[attr-defined]
        sent.append(pickle.dumps((outset.ring, outset.options)))
        real(process)

    monkeypatch.setattr(SpawnProcess, "start", watched)
    monkeypatch.setattr(Calls, "begin", overheard)
    site = Site(tmp_path, options=BY_TWO)
    site.backup(*(account(dovecot, user) for user in users))
    (private,) = site.open().ring.private.values()
    secret = [private.octets, *(dovecot.password(user).encode() for user in users)]
    assert len(sent) > 6
    assert not [one for one in sent if any(octets in one for octets in secret)]


@pytest.mark.parametrize(
    "accounts, known, wanted, found",
    [
        (1, 0, None, 1),
        (3, 0, None, 1),
        (40, 0, None, 2),
        (40, 40, None, 1),
        (300, 300, None, 2),
        (9, 9, 2, 2),
        (1, 0, 2, 1),
    ],
)
def test_so_many_processes_as_are_worth_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, accounts: int, known: int, wanted: int | None, found: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    vault = Site(tmp_path).open()
    names = [f"user{n}" for n in range(accounts)]
    for name in names[:known]:
        vault.index.remember(ObjectName(f"snapshots/{vault.ring.account_id(name)}/20240101T000000Z-00000000"), b"{}")
    sources = [SourceAccount(name, Endpoint("mail.example.test", 993, name), Login(new_secret)) for name in names]
    options = BackupOptions(processes=wanted)
    assert processes_for(vault, sources, options) == found
    paced = [replace(sources[0], pace=Pace(1_000_000)), *sources[1:]]
    assert processes_for(vault, paced, options) == 1


def test_a_machine_that_lets_no_process_start_is_one_clear_line(
    dovecot: DovecotServer, users: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: SpawnProcess) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(SpawnProcess, "start", refuse)
    with pytest.raises(ProcessLost, match="no process can be started here: Resource temporarily unavailable"):
        Site(tmp_path, options=BY_TWO).backup(*(account(dovecot, user) for user in users))


class Odd(Exception):
    """An error that can be sent, but not received."""

    def __init__(self, *, needed: str) -> None:
        super().__init__(needed)


def test_a_call_is_answered_whatever_comes_of_it() -> None:
    def raise_odd() -> None:
        raise Odd(needed="")

    here, there = Pipe()
    calls, other = Calls(here, {}, lambda: None), Calls(there, {"odd": raise_odd}, lambda: None)
    for end in (calls, other):
        threading.Thread(target=end.listen, daemon=True).start()
    with pytest.raises(RuntimeError, match="Odd in a process"):
        calls.ask("odd")
    with pytest.raises(KeyError):
        calls.ask("nothing of that name")


def test_a_blob_is_taken_once_and_a_full_table_lets_everybody_take_it() -> None:
    claims = Claims(slots=128)
    blobs = [BlobId(secrets.token_bytes(16)) for _ in range(100)]
    taken = [claims.take(blob) for blob in blobs]
    assert sum(taken) > 95
    assert not any(claims.take(blob) for blob in blobs[:50])
    for _ in range(200):
        claims.take(BlobId(secrets.token_bytes(16)))
    assert claims.take(last := BlobId(b"\xff" * 16))
    assert claims.take(last)
