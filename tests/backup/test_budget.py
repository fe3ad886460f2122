"""What may be read of an account in a day, and how fast: kept to, told, and nothing forgotten because of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from backup.budget import DAY, Spent, fitting, plan_day
from backup.model import AccountReport
from imap.pace import Pace
from tests.backup.site import Site, account, only, served
from tests.corpus import octets
from tests.servers import DovecotServer, deliver
from tests.vault.archive import FakeClock

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MOMENTS = st.integers(-200_000, 3_600).map(lambda seconds: NOW + timedelta(seconds=seconds))
SPENT = st.lists(st.builds(Spent, MOMENTS, st.integers(0, 1_000)), max_size=12)


@given(st.integers(1, 3_000), SPENT)
def test_what_is_left_is_the_limit_without_what_the_last_day_took(limit: int, spent: list[Spent]) -> None:
    taken = sum(one.octets for one in spent if one.when > NOW - DAY)
    assert plan_day(limit, spent, NOW).left == max(0, limit - taken)


@given(st.integers(1, 3_000), SPENT)
def test_where_nothing_is_left_the_moment_told_is_the_first_with_something_left(limit: int, spent: list[Spent]) -> None:
    spent = [Spent(min(one.when, NOW), one.octets) for one in spent]
    left, more = plan_day(limit, spent, NOW)
    if not left:
        assert plan_day(limit, spent, more).left > 0
        assert plan_day(limit, spent, more - timedelta(seconds=1)).left == 0


@given(st.lists(st.integers(1, 500), max_size=20), st.integers(0, 3_000), st.integers(1, 3_000))
def test_no_more_messages_are_taken_than_fit_and_none_less(sizes: list[int], left: int, limit: int) -> None:
    left = min(left, limit)
    count = fitting(sizes, left, limit)
    alone = count == 1 and sizes[0] > limit
    assert sum(sizes[:count]) <= left or (alone and left > limit * 9 // 10)
    assert count == len(sizes) or alone or sum(sizes[: count + 1]) > left


def mails(box: int, count: int) -> list[bytes]:
    """Make mails of 100,000 octets."""
    seeds = range(100 * box, 100 * box + count)
    return [b"Subject: %d\r\n\r\n%s\r\n" % (n, octets(50_000, n).hex().encode()) for n in seeds]


@dataclass
class Days:
    """An account that may be read so much a day, backed up again and again."""

    site: Site
    server: DovecotServer
    user: str
    limit: int

    def run(self, **pass_: float) -> AccountReport:
        clock = self.site.clock
        assert isinstance(clock, FakeClock)
        clock.pass_(**pass_)
        return only(self.site.backup(account(self.server, self.user, octets_per_day=self.limit)))

    def whole(self) -> bool:
        return self.site.contents(self.site.snapshot(self.user)) == served(self.server, self.user)


def days(tmp_path: Path, dovecot: DovecotServer, limit: int, *boxes: int) -> Days:
    user = dovecot.new_user().name
    for number, count in enumerate(boxes):
        deliver(dovecot, user, f"Box{number}" if number else "INBOX", mails(number, count))
    return Days(Site(tmp_path, clock=FakeClock(NOW)), dovecot, user, limit)


def test_a_day_s_budget_is_kept_told_and_the_next_day_goes_on(tmp_path: Path, dovecot: DovecotServer) -> None:
    account = days(tmp_path, dovecot, 450_000, 6, 4)
    first = account.run()
    assert (first.status, first.new_messages) == ("partial", 4)
    reasons = {failure.mailbox: failure.reason for failure in first.failures}
    assert set(reasons) == {"INBOX", "Box1"}
    assert all("450,000 octets" in reason and "after 2026-11-24 12:00 UTC" in reason for reason in reasons.values())
    again = account.run(hours=1)
    assert (again.status, again.new_messages) == ("partial", 0)
    assert again.snapshot == first.snapshot
    assert [account.run(hours=24).new_messages for _ in range(2)] == [4, 2]
    assert account.run(hours=1).status == "complete"
    assert account.whole()


def test_no_more_comes_over_the_wire_than_the_budget_allows(tmp_path: Path, dovecot: DovecotServer) -> None:
    account = days(tmp_path, dovecot, 450_000, 9)
    assert sum(account.run(hours=1).downloaded_octets for _ in range(5)) <= 450_000


def test_what_was_linked_or_kept_before_costs_nothing(tmp_path: Path, dovecot: DovecotServer) -> None:
    account = days(tmp_path, dovecot, 450_000, 4)
    assert account.run().status == "complete"
    with dovecot.open(account.user) as imap:
        imap.do(b"CREATE", b"Archive")
        imap.do(b"SELECT", b"INBOX")
        imap.do(b"MOVE", b"1:*", b"Archive")
    moved = account.run(hours=1)
    assert (moved.status, moved.linked_messages) == ("complete", 4)


def test_a_message_larger_than_a_day_s_budget_is_read_on_a_day_of_its_own(
    tmp_path: Path, dovecot: DovecotServer
) -> None:
    account = days(tmp_path, dovecot, 90_000, 3)
    assert [account.run(hours=25).new_messages for _ in range(3)] == [1, 1, 1]
    assert account.whole()


class Stopwatch:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@given(st.floats(1, 1e9), st.lists(st.tuples(st.integers(0, 1 << 20), st.floats(0, 5)), max_size=30))
def test_octets_take_the_time_that_the_bandwidth_says(rate: float, moves: list[tuple[int, float]]) -> None:
    watch, earned = Stopwatch(), 0.0
    pace = Pace(rate, clock=watch.now, sleep=watch.sleep)
    for moved, idle in moves:
        watch.seconds += idle
        pace.spend(moved)
        earned += moved / rate
        assert watch.seconds >= earned * 0.999


def test_mail_is_read_no_faster_than_the_bandwidth_whoever_reads_it(tmp_path: Path, dovecot: DovecotServer) -> None:
    first, second = (days(tmp_path / name, dovecot, 0, 3) for name in ("first", "second"))
    watch = Stopwatch()
    pace = Pace(1_000_000, clock=watch.now, sleep=watch.sleep)
    reports = [only(one.site.backup(account(dovecot, one.user, pace=pace))) for one in (first, second)]
    assert [report.status for report in reports] == ["complete", "complete"]
    assert watch.seconds * 1_000_000 >= sum(report.downloaded_octets for report in reports) * 0.999
    assert first.whole()
    assert second.whole()
