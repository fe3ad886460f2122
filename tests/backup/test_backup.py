"""What a backup of a real server keeps, links, reports and leaves untouched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backup import BackupOptions
from imap.model import Login
from tests.backup.site import Site, account, only, served
from tests.corpus import MAILBOX_NAMES, SERVABLE, TWINS, base64_lines, mail_with, octets, plain_mail
from tests.proxy import cutting_proxy
from tests.secret import new_secret
from tests.servers import DovecotServer, ImapServer
from tests.servers.maildir import Mail, deliver
from vault.model import MessageRow
from vault.table import RowCodec

WITHOUT: dict[str, Collection[str]] = {
    "everything offered": (),
    "no QRESYNC": {"QRESYNC"},
    "no CONDSTORE": {"QRESYNC", "CONDSTORE"},
    "bare IMAP4rev1": {
        *("QRESYNC", "CONDSTORE", "LIST-STATUS", "LIST-EXTENDED", "SPECIAL-USE", "ESEARCH", "LITERAL+", "ENABLE"),
        *("UIDPLUS", "SNIPPET=FUZZY"),
    },
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def fill(server: DovecotServer, user: str, count: int = 30, mailbox: str = "INBOX", first: int = 0) -> None:
    deliver(server, user, mailbox, [plain_mail(first + n) for n in range(count)])


def files(directory: Path) -> dict[str, bytes]:
    """Every mail file below a home; the server's own index files come and go by themselves."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.parent.name in {"cur", "new"}
    }


def test_all_octets_flags_dates_and_names_are_kept(dovecot: DovecotServer, site: Site) -> None:
    user = dovecot.new_user().name
    late = datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)
    deliver(dovecot, user, "INBOX", [*SERVABLE.values(), *TWINS])
    deliver(
        dovecot,
        user,
        "Sent",
        [Mail(plain_mail(1), ("\\Seen", "\\Flagged", "$Forwarded", "Größe".encode().hex()), late)],
    )
    with dovecot.open(user) as imap:
        for name in MAILBOX_NAMES:
            imap.create(name, subscribe=True)
            imap.append(name, plain_mail(2), ("\\Draft",), "01-Jan-1999 00:00:01 +0530")
    before = served(dovecot, user)
    report = site.backup(account(dovecot, user))
    assert (report.status, only(report).failures, only(report).alarms) == ("complete", (), ())
    assert site.contents(site.snapshot(user)) == before
    tree = {m.name: m for m in site.open().tree(site.snapshot(user)).mailboxes}
    assert tree["Sent"].special_use == "\\Sent"
    assert all(tree[name].subscribed for name in MAILBOX_NAMES)
    assert only(report).messages == sum(map(len, before.values()))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_backup_leaves_no_trace_on_the_server(dovecot: DovecotServer, tmp_path: Path, processes: int) -> None:
    users = [dovecot.new_user().name for _ in range(2)]
    for user in users:
        fill(dovecot, user)

    def look(user: str) -> tuple[object, dict[str, int], object]:
        with dovecot.open(user) as imap:
            return imap.messages("INBOX"), imap.status("INBOX"), imap.do("STATUS INBOX (HIGHESTMODSEQ)")[-1]

    for user in users:
        look(user)  # a server may answer its first question about MODSEQs with more words
    before = {user: look(user) for user in users}
    lying = {user: files(dovecot.home(user)) for user in users}
    site = Site(tmp_path, options=BackupOptions(processes=processes))
    assert site.backup(*(account(dovecot, user) for user in users)).status == "complete"
    assert {user: look(user) for user in users} == before
    assert [status["RECENT"] for _, status, _ in before.values()] == [30, 30]
    assert {user: files(dovecot.home(user)) for user in users} == lying


def test_a_run_that_finds_nothing_new_looks_once_and_writes_one_small_object(
    dovecot: DovecotServer, site: Site
) -> None:
    user = dovecot.new_user().name
    for n in range(40):
        fill(dovecot, user, 2, f"Folder {n}")
    first = site.backup(account(dovecot, user))
    second = site.backup(account(dovecot, user))
    assert second.status == "complete"
    assert only(second).snapshot == only(first).snapshot
    assert only(second).round_trips <= 5
    assert second.store_puts == 1
    assert second.store_octets < 1024 + 100
    assert site.open().confirmed().keys() == {only(first).snapshot}


def test_a_mailbox_costs_two_round_trips_and_one_that_is_empty_or_reflagged_one(
    dovecot: DovecotServer, site: Site
) -> None:
    user = dovecot.new_user().name
    for n in range(30):
        fill(dovecot, user, 5, f"Folder {n}", first=5 * n)
    logins, mailboxes = 2 * 3, 30
    first = only(site.backup(account(dovecot, user)))
    assert (first.status, first.new_messages) == ("complete", 150)
    assert first.round_trips <= logins + 1 + 2 * mailboxes + 1
    for n in range(5):
        fill(dovecot, user, 3, f"Folder {n}", first=1000 + 3 * n)
    with dovecot.open(user) as imap:
        for n in range(5, 7):
            imap.do(f'SELECT "Folder {n}"')
            imap.do("STORE 1:3 +FLAGS (\\Flagged)")
    second = only(site.backup(account(dovecot, user)))
    assert (second.status, second.new_messages) == ("complete", 15)
    assert second.round_trips <= 4 + 2 * 5 + 2
    assert site.contents(site.snapshot(user)) == served(dovecot, user)


def test_one_new_mail_is_read_over_one_connection(dovecot: DovecotServer, site: Site) -> None:
    user = dovecot.new_user().name
    fill(dovecot, user, 30)
    site.backup(account(dovecot, user))
    fill(dovecot, user, 1, first=100)
    with cutting_proxy(dovecot.port, []) as proxy:
        source = account(dovecot, user)
        report = only(site.backup(replace(source, endpoint=replace(source.endpoint, port=proxy.port))))
        assert (report.status, report.new_messages, proxy.connections) == ("complete", 1, 1)
        assert report.round_trips <= 6


def test_many_small_mailboxes_are_shared_out_over_the_connections_and_all_is_kept(
    dovecot: DovecotServer, site: Site
) -> None:
    user = dovecot.new_user().name
    for n in range(20):
        fill(dovecot, user, 3, f"Folder {n}", first=3 * n)
    source = account(dovecot, user, connections=4)
    with cutting_proxy(dovecot.port, []) as proxy:
        report = only(site.backup(replace(source, endpoint=replace(source.endpoint, port=proxy.port))))
        assert proxy.most_at_once == 4
    assert (report.status, report.new_messages, report.messages) == ("complete", 60, 60)
    assert site.contents(site.snapshot(user)) == served(dovecot, user)


@pytest.mark.parametrize("without", WITHOUT.values(), ids=WITHOUT)
def test_what_came_went_and_changed_is_caught_up_with(
    start_dovecot: Callable[..., DovecotServer], site: Site, without: Collection[str]
) -> None:
    server = start_dovecot(without=without)
    user = server.new_user().name
    fill(server, user, 60)
    fill(server, user, 20, "Work")
    site.backup(account(server, user))
    with server.open(user) as imap:
        imap.do("SELECT INBOX")
        imap.do("UID STORE 5,7,50 +FLAGS (\\Flagged $Later)")
        imap.do("UID STORE 10:19,60 +FLAGS (\\Deleted)")
        imap.do("EXPUNGE")
    fill(server, user, 5, first=1000)
    fill(server, user, 3, "Fresh", first=2000)
    report = site.backup(account(server, user))
    assert report.status == "complete", only(report).failures
    assert only(report).new_messages == 8
    assert site.contents(site.snapshot(user)) == served(server, user)
    with server.open(user) as imap:
        imap.do("SELECT INBOX")
        imap.do("UID STORE 6 +FLAGS (\\Answered)")
    report = site.backup(account(server, user))
    assert (report.status, only(report).new_messages) == ("complete", 0)
    assert site.contents(site.snapshot(user)) == served(server, user)


@pytest.mark.parametrize("kind", ["dovecot", "cyrus"])
def test_moved_mail_is_linked_and_not_downloaded(kind: str, site: Site, request: pytest.FixtureRequest) -> None:
    server: ImapServer = request.getfixturevalue(kind)
    user = server.new_user().name
    with server.open(user) as imap:
        imap.create("Archive 2024")
        for n in range(20):
            assert imap.append("INBOX", plain_mail(n, body=octets(40_000, n).hex().encode() + b"\r\n")).ok
        first = site.backup(account(server, user))
        imap.do("SELECT INBOX")
        imap.do('UID MOVE 1:* "Archive 2024"')
    second = only(site.backup(account(server, user)))
    assert (second.status, second.linked_messages, second.new_messages) == ("complete", 20, 0)
    assert second.downloaded_octets < only(first).downloaded_octets / 10
    assert site.contents(site.snapshot(user)) == served(server, user)


def test_a_first_backup_leaves_no_old_page_for_the_second_to_read(
    dovecot: DovecotServer, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.cache = tmp_path / "cache"
    user = dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [plain_mail(n) for n in range(3000)])
    site.backup(account(dovecot, user))
    fill(dovecot, user, 1, first=5000)
    decoded: list[int] = []
    decode = RowCodec.decode

    def counting(codec: RowCodec, data: bytes) -> list[MessageRow]:
        rows = decode(codec, data)
        decoded.append(len(rows))
        return rows

    monkeypatch.setattr(RowCodec, "decode", counting)
    assert only(site.backup(account(dovecot, user))).new_messages == 1
    assert len(decoded) <= 1, "one page takes the new row, and no other is read"


def test_mail_that_is_in_two_mailboxes_is_downloaded_once_though_both_are_read_side_by_side(
    dovecot: DovecotServer, site: Site
) -> None:
    user = dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [plain_mail(n, body=octets(10_000, n).hex().encode()) for n in range(300)])
    with dovecot.open(user) as imap:
        imap.create("Archive")
        imap.do("SELECT INBOX")
        imap.do("UID COPY 1:* Archive")
    report = only(site.backup(account(dovecot, user)))
    assert (report.status, report.new_messages, report.linked_messages) == ("complete", 300, 300)
    assert report.downloaded_octets < 300 * 20_000 * 1.2
    assert site.contents(site.snapshot(user)) == served(dovecot, user)


def test_equal_mail_of_two_accounts_is_stored_once(dovecot: DovecotServer, site: Site) -> None:
    attachment = base64_lines(octets(500_000))
    users = [dovecot.new_user().name for _ in range(3)]
    for n, user in enumerate(users):
        deliver(dovecot, user, "INBOX", [plain_mail(7), mail_with(attachment, number=n)])
    report = site.backup(*(account(dovecot, user) for user in users))
    assert report.status == "complete"
    assert sum(a.known_messages for a in report.accounts) == 2
    assert report.store_octets < 600_000
    for user in users:
        assert site.contents(site.snapshot(user)) == served(dovecot, user)


def test_a_renumbered_mailbox_is_read_again_and_its_past_is_kept(dovecot: DovecotServer, site: Site) -> None:
    user = dovecot.new_user().name
    fill(dovecot, user, 20)
    site.backup(account(dovecot, user))
    before, kept = site.snapshot(user), served(dovecot, user)
    time.sleep(1.1)  # Dovecot's UIDVALIDITY is the second in which a mailbox was made
    dovecot.wipe(user)
    fill(dovecot, user, 3, first=500)
    report = only(site.backup(account(dovecot, user)))
    assert report.status == "complete"
    assert any("UIDVALIDITY changed" in alarm for alarm in report.alarms)
    assert any("held 20 messages and holds 3 now" in alarm for alarm in report.alarms)
    assert site.contents(site.snapshot(user)) == served(dovecot, user)
    assert site.contents(before) == kept


def test_a_mailbox_renamed_deleted_or_made_anew_follows_the_server(dovecot: DovecotServer, site: Site) -> None:
    user = dovecot.new_user().name
    for name in ("Old name", "Doomed", "Reborn"):
        fill(dovecot, user, 10, name, first=len(name) * 100)
    site.backup(account(dovecot, user))
    before, kept = site.snapshot(user), served(dovecot, user)
    with dovecot.open(user) as imap:
        imap.do('RENAME "Old name" "New name"')
        imap.do("DELETE Doomed")
        imap.do("DELETE Reborn")
        imap.do("CREATE Reborn")
        imap.append("Reborn", plain_mail(77))
    report = only(site.backup(account(dovecot, user)))
    assert report.status == "complete"
    assert report.linked_messages == 10
    assert site.contents(site.snapshot(user)) == served(dovecot, user)
    assert site.contents(before) == kept


def test_one_account_that_fails_does_not_stop_the_others(dovecot: DovecotServer, site: Site) -> None:
    good, bad = dovecot.new_user().name, dovecot.new_user().name
    fill(dovecot, good, 5)
    wrong = new_secret()
    report = site.backup(account(dovecot, good), account(dovecot, bad, login=Login(lambda: wrong)))
    statuses = {a.account: a.status for a in report.accounts}
    assert (report.status, statuses) == ("partial", {good: "complete", bad: "failed"})
    (failure,) = report.accounts[1].failures
    assert wrong not in failure.reason
    assert not site.open().snapshots(bad)


def test_a_lost_connection_is_taken_up_where_it_broke(dovecot: DovecotServer, site: Site) -> None:
    user = dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [plain_mail(n, body=octets(20_000, n).hex().encode()) for n in range(300)])
    with cutting_proxy(dovecot.port, [3_000_000, 4_000_000, 2_000_000]) as proxy:
        source = account(dovecot, user)
        source = replace(source, endpoint=replace(source.endpoint, port=proxy.port))
        report = only(site.backup(source))
        assert proxy.connections > 3
    assert (report.status, report.new_messages, report.failures) == ("complete", 300, ())
    assert report.downloaded_octets < 300 * 41_000 + 3_000_000
    assert site.contents(site.snapshot(user)) == served(dovecot, user)


class _StopAfter:
    """Progress that asks the job to stop after so many messages."""

    def __init__(self, messages: int) -> None:
        self.stop = threading.Event()
        self._left = messages

    def expect(self, account: str, messages: int, octets: int) -> None:
        pass

    def advance(self, account: str, messages: int, octets: int) -> None:
        self._left -= messages
        if self._left <= 0:
            self.stop.set()


def test_an_interrupted_backup_goes_on_where_it_stopped(dovecot: DovecotServer, site: Site) -> None:
    user = dovecot.new_user().name
    fill(dovecot, user, 500)
    watcher = _StopAfter(123)
    first = site.backup(account(dovecot, user), stop=watcher.stop, progress=watcher)
    assert (first.status, site.snapshot(user).status) == ("interrupted", "partial")
    kept = only(first).new_messages
    assert kept >= 123
    second = site.backup(account(dovecot, user))
    assert (second.status, only(second).new_messages, only(second).known_messages) == ("complete", 500 - kept, 0)
    assert site.contents(site.snapshot(user)) == served(dovecot, user)


def test_a_damaged_page_is_written_again_and_raises_an_alarm(dovecot: DovecotServer, site: Site) -> None:
    user = dovecot.new_user().name
    fill(dovecot, user, 20)
    site.backup(account(dovecot, user))
    (page,) = (site.directory / "vault" / "meta").iterdir()
    page.chmod(0o600)
    data = page.read_bytes()
    page.write_bytes(data[:40] + bytes(100) + data[140:])
    fill(dovecot, user, 1, first=100)
    report = only(site.backup(account(dovecot, user)))
    assert report.status == "complete"
    assert any(f"meta/{page.name} is damaged" in alarm for alarm in report.alarms)
    assert site.contents(site.snapshot(user)) == served(dovecot, user)


def test_excluded_mailboxes_are_left_out(dovecot: DovecotServer, site: Site) -> None:
    user = dovecot.new_user().name
    fill(dovecot, user, 2)
    fill(dovecot, user, 2, "Junk")
    site.backup(account(dovecot, user, exclude=("junk",)))
    assert set(site.contents(site.snapshot(user))) == {"INBOX"}
