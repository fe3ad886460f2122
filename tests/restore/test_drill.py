"""Which accounts a drill takes, and what it makes of the time it took."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from restore.drill import Amount, estimate_rto, plan_drill
from vault.ids import AccountId, BlobId, SnapshotId
from vault.model import Snapshot

AMOUNTS = st.builds(Amount, st.integers(1, 9), st.integers(1, 10**9), st.integers(1, 10**12))


def snapshot(number: int, messages: int) -> Snapshot:
    return Snapshot(
        id=SnapshotId(f"s{number}"), account=f"user{number}", account_id=AccountId(f"{number:032x}"),
        time="2026-11-23T10:00:00Z", status="complete", tree=BlobId(bytes(16)), mailboxes=1, messages=messages,
        octets=messages * 1000, sequence=1, previous="",
    )  # fmt: skip


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=40), st.floats(0.001, 1), st.integers())
def test_a_drill_takes_its_share_each_account_once_and_never_none(messages: list[int], share: float, seed: int) -> None:
    newest = [snapshot(number, count) for number, count in enumerate(messages)]
    plan = plan_drill(newest, (), share, Random(seed))
    assert set(plan.snapshots) <= set(newest)
    assert len(set(plan.snapshots)) == len(plan.snapshots) == max(1, round(len(newest) * share))
    assert plan.vault == Amount(len(newest), sum(messages), sum(messages) * 1000)
    wanted = [newest[0].account]
    assert plan_drill(newest, wanted, share, Random(seed)).snapshots == (newest[0],)


@given(st.floats(0.1, 1e6), AMOUNTS, AMOUNTS)
def test_the_whole_takes_as_much_longer_as_it_is_larger(seconds: float, drilled: Amount, vault: Amount) -> None:
    rto = estimate_rto(seconds, drilled, vault)
    assert rto is not None
    assert rto >= seconds * vault.messages / drilled.messages * 0.999
    assert rto >= seconds * vault.octets / drilled.octets * 0.999
    assert estimate_rto(seconds, drilled, drilled) == seconds
    assert estimate_rto(seconds, Amount(1, 0, 0), vault) is None
