"""Telling snapshots that expired from snapshots that are lost: what listings must show, going by what is known. Pure.

Each snapshot names the one before it, and a run record the snapshots that stood; a census (vault/tombstones.py) tells
which of the older ones a prune left. What one of these names and a listing lacks is a gap. A snapshot up to a census's
sequence number that the census does not name was condemned before, so that it may be gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from vault.ids import AccountId, ObjectName, SnapshotId
from vault.model import Snapshot
from vault.records import RunRecord, snapshot_name
from vault.tombstones import Census


class Gap(NamedTuple):
    """Something that should be there and is not; `account` is an id."""

    object: str
    account: AccountId
    reason: str


class Seen(NamedTuple):
    """A snapshot as read from the store, and what the next one of its account says of it."""

    snapshot: Snapshot
    link: str


def find_gaps(
    snapshots: Iterable[Seen],
    runs: Mapping[ObjectName, RunRecord],
    holds: Collection[ObjectName],
    census: Census | None,
    condemned: Collection[ObjectName] = (),
) -> list[Gap]:
    """Return all that is missing: in the chains, from the census, from what runs confirmed, from the holds."""
    chains: dict[AccountId, list[Seen]] = defaultdict(list)
    for seen in snapshots:
        chains[seen.snapshot.account_id].append(seen)
    known = {seen.snapshot.id for chain in chains.values() for seen in chain}
    missing = [*_uncounted(census, known, holds), *_unlinked(chains, census), *_unconfirmed(runs, known, census)]
    return list({gap.object: gap for gap in reversed(missing) if gap.object not in condemned}.values())[::-1]


def _uncounted(census: Census | None, known: Collection[SnapshotId], holds: Collection[ObjectName]) -> Iterator[Gap]:
    for account, standing in census.accounts.items() if census else ():
        for snapshot in standing.snapshots:
            if snapshot not in known:
                name = snapshot_name(account, snapshot)
                yield Gap(name, account, "it is missing, though the last prune left it standing")
    for hold, account in census.holds.items() if census else ():
        if hold not in holds:
            yield Gap(hold, account, "this hold is missing, and nobody released it")


def _unlinked(chains: Mapping[AccountId, Sequence[Seen]], census: Census | None) -> Iterator[Gap]:
    for account, chain in chains.items():
        links = {seen.link for seen in chain} | {""}
        counted = census.accounts.get(account) if census else None
        last = counted.sequence if counted else 0
        for snapshot, _ in sorted(chain, key=lambda seen: seen.snapshot.sequence):
            if snapshot.sequence > (counted.sequence + 1 if counted else 0) and snapshot.previous not in links:
                reason = f"the snapshot before {snapshot.id} (number {last + 1}) is missing"
                yield Gap(f"snapshots/{account}/", account, reason)
            last = max(last, snapshot.sequence)


def _unconfirmed(
    runs: Mapping[ObjectName, RunRecord], known: Collection[SnapshotId], census: Census | None
) -> Iterator[Gap]:
    counted = frozenset(census.runs) if census else frozenset()
    for name, run in runs.items():
        for one in run.accounts:
            # A run record that the census knows was compared then; what it names since may have expired.
            if one.snapshot and one.snapshot not in known and name not in counted:
                yield Gap(
                    snapshot_name(one.account, one.snapshot), one.account, f"it is missing, though {name} names it"
                )
