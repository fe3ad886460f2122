"""What a prune condemns and what it deletes: decisions over plain data. Pure; vault/prune.py carries them out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vault.ids import AccountId, ObjectName, SnapshotId
from vault.liveness import PackUse
from vault.records import RunRecord
from vault.stores.base import ObjectInfo
from vault.tombstones import GRACE, Graveyard

RUNS_KEPT = timedelta(days=32)
"""Run records are kept for so long; later only those that something still goes by."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When copying and merging are worth it: `many` packs smaller than `small` octets, indexes of so few `packs`.

    Tests make them tiny.
    """

    small: int = 4 << 20
    many: int = 16
    packs: int = 125


@dataclass(frozen=True, slots=True)
class Verdict:
    """What retention says of one snapshot; `rule` is in words for people."""

    id: SnapshotId
    account: str
    account_id: AccountId
    time: str
    keep: bool
    rule: str

    @property
    def name(self) -> ObjectName:
        """The snapshot's object."""
        return ObjectName(f"snapshots/{self.account_id}/{self.id}")


@dataclass(frozen=True, slots=True)
class RecordPlan:
    """Snapshots and run records: what is condemned now, and what was condemned long enough ago to be deleted."""

    condemn: tuple[ObjectName, ...]
    delete: tuple[ObjectName, ...]


@dataclass(frozen=True, slots=True)
class PackPlan:
    """Packs, meta objects and index objects.

    `copy` lists those of which what is live is copied elsewhere: mostly dead ones, small ones, and condemned ones that
    a backup under way came to need. `index` lists what new index objects must name in place of those condemned.
    """

    condemn: tuple[ObjectName, ...] = ()
    copy: tuple[ObjectName, ...] = ()
    index: tuple[ObjectName, ...] = ()
    delete_indexes: tuple[ObjectName, ...] = ()
    delete: tuple[ObjectName, ...] = ()


def plan_records(
    verdicts: Sequence[Verdict],
    runs: Mapping[ObjectName, RunRecord],
    listed: Mapping[ObjectName, ObjectInfo],
    graves: Graveyard,
    now: datetime,
) -> RecordPlan:
    """Plan snapshots and run records. `listed` tells when the store wrote each of them."""
    kept = {verdict.id for verdict in verdicts if verdict.keep}
    going = _idle_runs(runs, listed, kept, now) + [verdict.name for verdict in verdicts if not verdict.keep]
    condemned = graves.condemned
    return RecordPlan(
        condemn=tuple(name for name in going if name not in condemned),
        delete=tuple(name for name in going if _ripe(name, condemned, now)),
    )


def _idle_runs(
    runs: Mapping[ObjectName, RunRecord],
    listed: Mapping[ObjectName, ObjectInfo],
    kept: Collection[SnapshotId],
    now: datetime,
) -> list[ObjectName]:
    """Return run records that are old, and neither the last of a job nor the last to confirm a kept snapshot."""
    confirmed: set[SnapshotId] = set()
    jobs: set[tuple[str, str, bool]] = set()
    idle = []
    for name in sorted(runs, key=lambda n: (listed[n].modified, n), reverse=True):
        run = runs[name]
        confirms = {one.snapshot for one in run.accounts if one.snapshot in kept and one.status == "complete"}
        job = (run.job, run.kind, run.status == "interrupted")
        if now - listed[name].modified >= RUNS_KEPT and confirms <= confirmed and job in jobs:
            idle.append(name)
        confirmed |= {one for one in confirms if one is not None}
        jobs.add(job)
    return idle


def plan_packs(
    uses: Iterable[PackUse],
    indexes: Mapping[ObjectName, Sequence[ObjectName]],
    listed: Mapping[ObjectName, ObjectInfo],
    graves: Graveyard,
    now: datetime,
    *,
    untold: bool,
    thresholds: Thresholds,
) -> PackPlan:
    """Plan packs, meta objects and the index objects that name them.

    `untold` says that nothing tells the pieces of some live message: then content packs are left alone.
    """
    condemned = graves.condemned
    known = {use.name: use for use in uses}
    hands_off = {name for name in listed if untold and name.startswith("packs/")}
    delete = [
        name
        for name in listed
        if _ripe(name, condemned, now) and _holds_packs(name) and name not in hands_off and _unneeded(known.get(name))
    ]
    rescue = [u.name for u in known.values() if _ripe(u.name, condemned, now) and (u.kept or u.tells) and _movable(u)]
    old = [
        name
        for name, info in listed.items()
        if name not in condemned and now - info.modified >= GRACE and name not in hands_off
    ]
    dead = [name for name in old if _holds_packs(name) and _dead(known.get(name), indexes, name)]
    copy = [*rescue, *_worth_copying([known[n] for n in old if n in known and n not in set(dead)], thresholds)]
    gone = {*condemned, *dead, *copy}
    merge = _worth_merging({n: p for n, p in indexes.items() if n not in condemned}, gone, known, set(old), thresholds)
    index = known.keys() - gone - {p for n, ps in indexes.items() if n not in condemned and n not in merge for p in ps}
    ripe = sorted(n for n in indexes if _ripe(n, condemned, now))
    return PackPlan(
        condemn=tuple(sorted({*dead, *copy, *merge} - condemned.keys())),
        copy=tuple(sorted(copy)),
        index=tuple(sorted(index)),
        delete_indexes=tuple(_superfluous(indexes, ripe, listed.keys() - set(delete), known.keys() - gone)),
        delete=tuple(sorted(delete)),
    )


def _superfluous(
    indexes: Mapping[ObjectName, Sequence[ObjectName]],
    ripe: Sequence[ObjectName],
    there: Collection[ObjectName],
    named_anew: Collection[ObjectName],
) -> list[ObjectName]:
    """Return the ripe index objects without which every pack that is there, if named at all, is still named."""
    naming = Counter(pack for packs in indexes.values() for pack in set(packs))
    naming.update(named_anew)
    going = []
    for name in ripe:
        packs = set(indexes[name])
        if all(naming[pack] > 1 for pack in packs if pack in there):
            naming.subtract(packs)
            going.append(name)
    return going


def _ripe(name: ObjectName, condemned: Mapping[ObjectName, datetime], now: datetime) -> bool:
    return name in condemned and now - condemned[name] >= GRACE


def _holds_packs(name: ObjectName) -> bool:
    return name.startswith(("packs/", "meta/"))


def _unneeded(use: PackUse | None) -> bool:
    return use is None or not (use.needed or use.tells)


def _dead(use: PackUse | None, indexes: Mapping[ObjectName, Sequence[ObjectName]], name: ObjectName) -> bool:
    if use is not None:
        return not (use.kept or use.tells)
    # Cut short, or named by no index: nothing that is live lies there. What an index names wrongly `check` tells.
    return not any(name in packs for packs in indexes.values())


def _movable(use: PackUse) -> bool:
    """Say whether a copy would be as good: of messages moved, too, something must tell the pieces."""
    return use.told or use.name.startswith("meta/")


def _worth_copying(uses: Sequence[PackUse], thresholds: Thresholds) -> list[ObjectName]:
    """Return packs that are mostly dead, and small ones where there are many of them."""
    found: list[ObjectName] = []
    for prefix in ("packs/", "meta/"):
        own = [u for u in uses if u.name.startswith(prefix) and _movable(u)]
        small = [u.name for u in own if u.size < thresholds.small]
        found += [u.name for u in own if u.kept < u.size // 2 and u.size >= thresholds.small and not u.tells]
        found += small if len(small) >= thresholds.many else []
    return found


def _worth_merging(
    indexes: Mapping[ObjectName, Sequence[ObjectName]],
    gone: Collection[ObjectName],
    known: Collection[ObjectName],
    old: Collection[ObjectName],
    thresholds: Thresholds,
) -> set[ObjectName]:
    """Return index objects that name what is condemned or gone, and old small ones where there are many of them."""
    found = {n for n, packs in indexes.items() if any(p in gone or p not in known for p in packs) or not packs}
    small = {n for n, packs in indexes.items() if len(packs) < thresholds.packs and n in old}
    return found | (small if len(small | found) >= thresholds.many else set())
