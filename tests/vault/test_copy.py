"""A second site: what travels, in which order, what never does, and that nothing that dies on the way does harm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.retention import Policy
from tests.corpus import plain_mail
from tests.faults import Cut, Dying, Fault, FaultyStore, Flipped, Killed, MemoryStore, Unavailable, Watched
from tests.secret import keep_secret, new_secret
from tests.vault.archive import Archive, contents
from vault.check import check_vault
from vault.copy import CopyReport, copy_vault, look_at
from vault.copy_plan import STEPS, lag, plan_copy
from vault.errors import StoreError, VaultError
from vault.ids import ObjectName
from vault.keyring import init_vault
from vault.stores.base import FullStore, ObjectInfo
from vault.vault import open_vault


class Sites:
    """A vault with some days in it, and an empty second site. The copy is made with the backup-only key."""

    def __init__(self) -> None:
        self.archive = Archive()
        self.there = MemoryStore(clock=self.archive.clock)
        for day in range(3):
            self.backup(day)

    def backup(self, day: int) -> None:
        mails = {1: plain_mail(1), 10 + day: plain_mail(10 + day)}
        for account in ("anna", "bert"):
            self.archive.backup(mails, account)
        self.archive.clock.pass_(hours=72)

    def copy(self, *faults: Fault, to: FullStore | None = None) -> CopyReport:
        """Copy; the faults are the source's."""
        source = FaultyStore(self.archive.store, *faults)
        return copy_vault(source, open_vault(self.archive.store, self.archive.backup_key).ring, to or self.there)

    def assert_sound_there(self, snapshots: int) -> None:
        vault = open_vault(self.there, self.archive.full_key)
        assert check_vault(vault, read=True).damage == ()
        assert len(vault.snapshots()) == snapshots
        for snapshot in vault.snapshots():
            assert contents(vault, snapshot) == self.archive.truth[snapshot.tree]

    def assert_no_hollow_snapshot_there(self) -> None:
        """Demand that whatever snapshot is there gives back what was put in."""
        if not any(info.name.startswith("keys/") for info in self.there.list()):
            return
        vault = open_vault(self.there, self.archive.full_key)
        for snapshot in vault.snapshots():
            assert contents(vault, snapshot) == self.archive.truth[snapshot.tree]


@pytest.fixture
def sites() -> Sites:
    return Sites()


def test_a_copy_is_the_same_vault_and_a_second_one_has_nothing_to_do(sites: Sites) -> None:
    report = sites.copy()
    assert sites.there.objects == sites.archive.store.objects
    assert (report.copied, report.skipped, report.damage, report.lag) == (len(sites.there.objects), 0, (), 0)
    assert report.octets == sites.archive.octets()
    sites.assert_sound_there(6)
    watched = Watched()
    again = sites.copy(to=FaultyStore(sites.there, watched))
    assert (again.copied, again.skipped) == (0, report.copied)
    assert {call for call, _ in watched.calls} <= {"list", "get"}


def test_only_what_is_new_travels_and_what_depends_on_it_comes_after_it(sites: Sites) -> None:
    sites.copy()
    sites.backup(3)
    before, watched = set(sites.there.objects), Watched()
    sites.copy(to=FaultyStore(sites.there, watched))
    written = [name for call, name in watched.calls if call == "put"]
    assert set(written) == set(sites.archive.store.objects) - before
    steps = [next(n for n, prefix in enumerate(STEPS) if name.startswith(prefix)) for name in written]
    assert steps == sorted(steps)


@pytest.mark.parametrize("late", [False, True], ids=["before its effect", "after its effect"])
@pytest.mark.parametrize("side, call", [("here", "list"), ("here", "get"), ("there", "list"), ("there", "put")])
def test_a_copy_killed_at_any_call_leaves_nothing_hollow_and_is_completed_by_the_next(
    side: str, call: str, *, late: bool
) -> None:
    for n in range(1, 200):
        sites = Sites()
        dying = Dying(call, n, late=late)
        try:
            sites.copy(dying) if side == "here" else sites.copy(to=FaultyStore(sites.there, dying))
        except Killed:
            sites.assert_no_hollow_snapshot_there()
            sites.copy()
            sites.assert_sound_there(6)
        else:
            assert n > 1
            return
    pytest.fail("it never came to an end")


def test_a_store_that_falls_silent_is_an_error_and_the_next_copy_goes_on(sites: Sites) -> None:
    with pytest.raises(StoreError):
        sites.copy(to=FaultyStore(sites.there, Unavailable("put", after_calls=7)))
    sites.assert_no_hollow_snapshot_there()
    assert sites.copy().skipped >= 7
    sites.assert_sound_there(6)


@pytest.mark.parametrize("prefix", [prefix for prefix in STEPS if prefix not in ("holds/", "tombstones/")])
@pytest.mark.parametrize("cut", [False, True], ids=["flipped", "cut"])
def test_a_damaged_object_never_reaches_the_other_site_and_is_named(sites: Sites, prefix: str, *, cut: bool) -> None:
    name = sites.archive.names(prefix)[0]
    size = len(sites.archive.store.objects[name])
    report = sites.copy(Cut(name, size - 1) if cut else Flipped(name, size // 2))
    assert [found.object for found in report.damage] == [name]
    assert set(sites.archive.store.objects) - set(sites.there.objects) == {name}
    assert sites.copy().copied == 1
    sites.assert_sound_there(6)


def test_what_is_there_is_never_overwritten_even_where_it_differs(sites: Sites) -> None:
    sites.copy()
    name = sites.archive.names("packs/")[0]
    sites.there.objects[name] = sites.there.objects[name][:-1]
    before = dict(sites.there.objects)
    assert [found.object for found in sites.copy().damage] == [name]
    assert sites.there.objects == before


def test_what_was_pruned_here_stays_there_and_all_of_it_can_be_restored(sites: Sites) -> None:
    sites.copy()
    for day in range(3, 6):
        sites.backup(day)
        sites.archive.prune(Policy(last=1))
        sites.copy()
    sites.archive.prune_until_settled(Policy(last=1))
    sites.copy()
    assert len(sites.archive.snapshots()) == 2
    assert not set(sites.archive.store.objects) - set(sites.there.objects)
    sites.assert_sound_there(12)


def test_a_first_copy_after_prunes_is_sound(sites: Sites) -> None:
    sites.archive.prune_until_settled(Policy(last=1))
    sites.backup(3)
    sites.copy()
    sites.assert_sound_there(4)


def test_a_prune_of_the_copy_lets_go_there_and_nowhere_else(sites: Sites) -> None:
    sites.copy()
    sites.archive.clock.pass_(hours=72)
    sites.archive.prune(Policy(), store=sites.there)
    for _ in range(6):
        sites.archive.prune(Policy(last=1), store=sites.there)
        sites.archive.clock.pass_(hours=50)
    sites.assert_sound_there(2)
    sites.archive.assert_sound()
    assert len(sites.archive.snapshots()) == 6


class PrunedUnderWay(Fault):
    """At the n-th object read, the source has been pruned for days: whatever was condemned is gone."""

    def __init__(self, sites: Sites, n: int) -> None:
        self.sites, self.n = sites, n

    def before(self, call: str, name: str) -> None:
        if call == "get" and name.startswith(("packs/", "meta/", "index/")):
            self.n -= 1
            if self.n == 0:
                self.sites.archive.prune_until_settled(Policy(last=1))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_a_prune_that_is_over_before_the_copy_is_makes_it_look_anew(n: int) -> None:
    sites = Sites()
    for day in range(3, 10):
        sites.backup(day)
    report = sites.copy(PrunedUnderWay(sites, n))
    assert report.damage == ()
    sites.assert_no_hollow_snapshot_there()
    sites.copy()
    vault = open_vault(sites.there, sites.archive.full_key)
    assert check_vault(vault, read=True).damage == ()
    assert {s.id for s in sites.archive.snapshots()} <= {s.id for s in vault.snapshots()}


def test_another_vault_there_is_refused_and_left_as_it_is(sites: Sites) -> None:
    keep_secret(init_vault(sites.there, new_secret()))
    before = dict(sites.there.objects)
    with pytest.raises(VaultError, match="another vault") as caught:
        sites.copy()
    assert caught.value.hint
    assert sites.there.objects == before


def test_a_place_that_holds_something_else_is_refused(sites: Sites) -> None:
    sites.there.objects[ObjectName("holiday/photo.jpg")] = b"sun"
    with pytest.raises(VaultError, match="no vault"):
        sites.copy()


def test_the_lag_tells_how_far_the_copy_is_behind(sites: Sites) -> None:
    ring = open_vault(sites.archive.store, sites.archive.backup_key).ring
    sites.copy()
    sites.backup(3)
    plan, behind = look_at(sites.archive.store, ring, sites.there)
    assert behind == timedelta(hours=72).total_seconds()
    assert plan.objects == len(set(sites.archive.store.objects) - set(sites.there.objects))
    newest = max(sites.archive.names("snapshots/"), key=lambda name: name.rpartition("/")[2])
    report = sites.copy(Flipped(newest, 40))
    assert report.lag == behind


NAMES = st.sampled_from(
    [
        ObjectName(name)
        for name in (
            "vault.json", "vault-2.json", "keys/a.json", f"packs/aa/aa{'0' * 62}", f"packs/bb/bb{'0' * 62}",
            f"meta/{'c' * 64}", "index/20260101T000000Z-00000000", "holds/20260101T000000Z-00000000",
            "snapshots/ab/20260101T000000Z-00000000", "snapshots/ab/20260102T000000Z-00000000",
            "runs/20260101T000000Z-00000000", "tombstones/20260101T000000Z-00000000", "index.html", "packs/aa/junk",
        )
    ]
)  # fmt: skip


@given(here=st.dictionaries(NAMES, st.integers(0, 3)), there=st.dictionaries(NAMES, st.integers(0, 3)))
def test_a_plan_has_each_missing_object_once_and_in_order(
    here: dict[ObjectName, int], there: dict[ObjectName, int]
) -> None:
    plan = plan_copy([ObjectInfo(name, size, datetime.now(UTC)) for name, size in here.items()], there)
    planned = [info.name for step in plan.steps for lane in step.lanes for info in lane]
    strange = {"index.html", "packs/aa/junk"}
    assert sorted(planned) == sorted(set(here) - set(there) - strange)
    assert [step.prefix for step in plan.steps] == [p for p in STEPS if any(n.startswith(p) for n in planned)]
    assert {*plan.differing} == {name for name in here.keys() & there.keys() - strange if here[name] != there[name]}


def test_an_account_without_a_copy_lags_from_its_first_snapshot_on() -> None:
    here = [ObjectName(f"snapshots/ab/2026010{day}T000000Z-00000000") for day in (1, 3)]
    assert lag(here, []) == timedelta(days=2).total_seconds()
    assert lag(here, here) == 0
    assert lag([], here) == 0
