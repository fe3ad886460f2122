"""What is not well, by the records of runs alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.history import History, Standing
from restante.telling.plan import Key, What
from restante.telling.troubles import Scene, states_of
from vault.ids import AccountId, BlobId, SnapshotId
from vault.model import Snapshot
from vault.records import CheckResult, Confirmed, RunRecord, ToldTrouble, rfc3339

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURLY = Key("job", "hourly")
DAMAGE = Key("damage", "")


def ran(
    hours_ago: float, status: str = "complete", *, kind: str = "backup", job: str = "", **accounts: str
) -> RunRecord:
    """Return the record of a run; each account with how its look went."""
    ended = rfc3339(NOW - hours_ago * HOUR)
    looked = tuple(Confirmed(AccountId(name), None, how) for name, how in accounts.items())
    return RunRecord(started=ended, finished=ended, accounts=looked, job=job, kind=kind, status=status)


def checked(status: str, share: float) -> RunRecord:
    ended = rfc3339(NOW - HOUR)
    found = CheckResult(share=share, damaged=int(status == "damaged"))
    return RunRecord(started=ended, finished=ended, accounts=(), kind="check", status=status, check=found)


def snapshot(account: str) -> Snapshot:
    return Snapshot(
        id=SnapshotId("20261101T000000Z-00000000"), account=account, account_id=AccountId(account), time=rfc3339(NOW),
        status="complete", tree=BlobId(bytes(16)), mailboxes=0, messages=0, octets=0, sequence=1, previous="",
    )  # fmt: skip


def scene(*newest_first: RunRecord, accounts: Sequence[str] = ("anna", "bert"), **changes: object) -> Scene:
    """Return what the configuration of these accounts and one job would see."""
    known = ("anna", "bert", "carl")
    history = History({name: Standing(AccountId(name), snapshot(name), NOW) for name in known})
    promised: Mapping[str, timedelta | None] = dict.fromkeys(accounts, 4 * HOUR)
    return Scene(history, newest_first, promised, {"hourly"}, {}, **changes)  # type: ignore[arg-type]


def state(seen: Scene, key: Key) -> str:
    """Return the state of one thing: `well`, `unknown`, or its trouble."""
    found = states_of(seen, NOW)
    trouble = found.get(key)
    return trouble.what if trouble else "well" if key in found else "unknown"


@pytest.mark.parametrize(
    "kind, status, what",
    [
        ("backup", "complete", "well"),
        ("backup", "failed", "failed"),
        ("backup", "partial", "partial"),
        ("prune", "partial", "partial"),
        ("check", "failed", "failed"),
        ("check", "damaged", "well"),
        ("copy", "damaged", "damage"),
        ("drill", "partial", "drill"),
        ("drill", "failed", "drill"),
    ],
)
def test_how_a_job_ended_is_its_state(kind: str, status: str, what: What) -> None:
    assert state(scene(ran(1, status, kind=kind, job="hourly")), HOURLY) == what


def test_a_run_that_was_interrupted_changes_nothing() -> None:
    assert state(scene(ran(1, "interrupted", job="hourly"), ran(2, "failed", job="hourly")), HOURLY) == "failed"


def test_a_trouble_began_with_the_first_run_that_did_not_go_well() -> None:
    runs = [ran(hours, status, job="hourly") for hours, status in ((1, "failed"), (2, "partial"), (3, "complete"))]
    trouble = states_of(scene(*runs), NOW)[HOURLY]
    assert trouble is not None
    assert trouble.since == NOW - 2 * HOUR


def test_of_a_job_that_another_host_has_nothing_is_known() -> None:
    assert state(scene(ran(1, "failed", job="theirs")), Key("job", "theirs")) == "unknown"


def test_a_backup_of_one_account_by_hand_makes_no_other_one_well() -> None:
    nameless = Key("run", "backup")
    failed = ran(2, "failed", anna="failed", bert="complete")
    assert state(scene(ran(1, bert="complete"), failed), nameless) == "partial"
    assert state(scene(ran(1, anna="complete"), failed), nameless) == "well"
    assert state(scene(ran(1, bert="complete"), failed, accounts=["bert"]), nameless) == "well"


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.05, 1.0])), max_size=8))
def test_damage_stands_until_something_proves_that_it_is_gone(checks: list[tuple[bool, float]]) -> None:
    read = structure = known = False  # damage that stands, by how it was found, and whether its end would be known
    for damaged, share in checks:
        if damaged:
            read, structure = read or share > 0, structure or share == 0
            known = known or structure
        elif share == 1:
            read = structure = False
            known = True
        else:
            structure = False
    records = [checked("damaged" if damaged else "complete", share) for damaged, share in reversed(checks)]
    expected = "damage" if read or structure else "well" if known else "unknown"
    assert state(scene(*records), DAMAGE) == expected


def test_who_the_next_run_of_a_job_did_not_find_has_vanished_until_someone_finds_them() -> None:
    gone = Key("gone", "carl")
    before, after = ran(2, job="hourly", anna="complete", carl="complete"), ran(1, job="hourly", anna="complete")
    back = ran(0.5, job="hourly", anna="complete", carl="complete")
    assert state(scene(before), gone) == "well"
    assert state(scene(after, before), gone) == "vanished"
    assert state(scene(back, after, before), gone) == "well"
    assert state(scene(after, before, accounts=["anna", "carl"]), gone) == "well"


def test_a_host_without_accounts_calls_nobody_vanished() -> None:
    runs = [ran(1, anna="complete"), ran(2, anna="complete", carl="complete")]
    assert state(scene(*runs, accounts=[]), Key("gone", "carl")) == "unknown"


@pytest.mark.parametrize("waited, what", [(1, "unknown"), (5, "late")])
def test_an_account_that_was_never_backed_up_is_given_the_time_of_its_rpo(waited: float, what: str) -> None:
    seen = scene(accounts=["new"], patience=NOW - waited * HOUR)
    assert state(seen, Key("late", "new")) == what


def test_the_record_of_what_was_told_is_no_run() -> None:
    told = RunRecord(
        started=rfc3339(NOW), finished=rfc3339(NOW), accounts=(), kind="notify", status="complete",
        told={"email": (ToldTrouble("job", "hourly", "failed", rfc3339(NOW)),)},
    )  # fmt: skip
    assert Key("run", "notify") not in states_of(scene(told), NOW)
