"""Pruning: what no kept snapshot needs is condemned, and deleted once nobody can have come to need it meanwhile.

Lock-free: any number of writers and prunes may be at work. What keeps mail safe, step by step:

* *Two phases.* A prune writes tombstones and deletes only what was condemned before the grace period, after it has read
  all snapshots anew. Ages are by the store's clock: a prune begins by writing an object and asks when that was.
* *Condemned is for good.* Writers and prunes never count a copy in a condemned pack. What is needed there all the same,
  because a backup that began before the tombstone came to rely on it, is copied elsewhere first, and goes next time. So
  a prune that was suspended can act on old knowledge: nothing condemned ever becomes the only copy of anything new.
* *A writer commits in time, or not at all* (vault/writer.py): no snapshot written after the grace period relies on what
  its writer did not know to be condemned.
* *What a run builds on stays.* The newest snapshot of an account, and every one that was the newest within the grace
  period, is never condemned, so whatever a run under way took over from it stays live.
* *Nothing young is condemned*: a pack whose snapshot is still to come is left alone for the grace period.
* *No gap is trusted.* Chains, run records and the census of the last prune say what must be there (vault/census.py). A
  listing that lacks any of it, a page that can't be read, a live blob that lies nowhere: then nothing is condemned and
  nothing is deleted. So a listing that comes short hides nothing: what lacks is either needed, and missed, or not.
* *Order.* Copies, then the index that names them, then the tombstone, then deletions: run records, snapshots, packs,
  index objects, and last the tombstones of which nothing is left, nor named by an index. A prune that dies is completed
  by the next. Packs of a snapshot go only once it is gone itself, so a refused deletion (Object Lock) leaves it whole.

No step needs the content key: sealed blocks are copied whole, and what recipes need is told apart (vault/uses.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple, TypeVar

from vault.census import Gap, Seen, find_gaps
from vault.clock import Clock, Progress, Quiet, Stopped
from vault.compaction import Compaction
from vault.errors import Damage, ObjectMissing, StoreError, VaultError
from vault.ids import AccountId, ObjectName, SnapshotId
from vault.keys import KeyRing
from vault.liveness import Liveness
from vault.model import Snapshot
from vault.prune_plan import PackPlan, RecordPlan, Thresholds, Verdict, plan_packs, plan_records
from vault.records import RunRecord, chain_link, open_run, open_snapshot, rfc3339, snapshot_name
from vault.stores.base import FullStore, ObjectInfo
from vault.tombstones import (
    GRACE,
    Census,
    Graveyard,
    Holds,
    Standing,
    Tombstone,
    Written,
    read_graveyard,
    read_holds,
    write_tombstone,
)

ThingT = TypeVar("ThingT")


class PruneRefused(VaultError):
    """Something that should be there is not, so nothing may be deleted."""


@dataclass(frozen=True, slots=True)
class AccountState:
    """What is known of an account whose snapshots are to be judged; `written` tells when the store got each."""

    name: str
    snapshots: Sequence[Snapshot]
    written: Mapping[SnapshotId, datetime]
    held: Collection[SnapshotId]
    standing: Standing | None
    now: datetime


class Judgement(NamedTuple):
    """For each snapshot whether it is kept, and why; and the snapshot over which expiry is suspended, or None."""

    verdicts: Mapping[SnapshotId, tuple[bool, str]]
    suspended: SnapshotId | None = None


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What a prune did, or would do. `waiting` objects may go, but the store does not let them go yet."""

    snapshots: tuple[Verdict, ...]
    condemned: int
    deleted: int
    octets_freed: int
    waiting: int
    suspended: tuple[str, ...]
    notes: tuple[str, ...]
    interrupted: bool = False


@dataclass
class _Survey:
    """All that a prune read of small objects, with what the store says of each."""

    listed: dict[ObjectName, ObjectInfo] = field(default_factory=dict)
    runs: dict[ObjectName, RunRecord] = field(default_factory=dict)
    snapshots: list[Seen] = field(default_factory=list)
    graves: Graveyard = field(default_factory=Graveyard)
    holds: Holds = field(default_factory=lambda: Holds({}))


def prune_vault(
    store: FullStore,
    ring: KeyRing,
    judge: Callable[[AccountState], Judgement],
    *,
    clock: Clock,
    acknowledged: Collection[str] = (),
    dry_run: bool = False,
    tool: str = "",
    thresholds: Thresholds | None = None,
    progress: Progress | None = None,
) -> PruneReport:
    """Condemn and delete what retention leaves over. `acknowledged` accounts may lack snapshots.

    `progress` hears of snapshots looked into, packs copied and objects deleted; what it raises ends the prune, which
    does no harm; Stopped ends it with a report of what was done until then. Raises PruneRefused, Damage, StoreError.
    """
    prune = _Prune(store, ring, clock, tool, progress or Quiet(), dry_run=dry_run)
    try:
        began = None if dry_run else prune.begin()
        return _prune(prune, judge, began, began.written if began else clock.now(), acknowledged, thresholds)
    except Stopped:
        return replace(prune.report((), ()), interrupted=True)
    except ObjectMissing:
        raise _another() from None
    except (Damage, PruneRefused):
        # What another prune deletes or copies meanwhile looks like damage; it is this one that has to step back.
        if not prune.disturbed():
            raise
        raise _another() from None


def _prune(
    prune: _Prune,
    judge: Callable[[AccountState], Judgement],
    began: Written | None,
    now: datetime,
    acknowledged: Collection[str],
    thresholds: Thresholds | None,
) -> PruneReport:
    survey = prune.survey(acknowledged)
    verdicts, accounts, suspended = prune.judge(survey, judge, now)
    records = plan_records(verdicts, survey.runs, survey.listed, survey.graves, now)
    live = prune.liveness()
    try:
        hollow = prune.find_live(live, survey, verdicts, records)
        if hollow:
            records = _only(records, hollow)
        gone = prune.delete(records.delete, survey.listed)
        plan = PackPlan() if hollow else prune.plan_packs(live, survey, gone, records, now, thresholds or Thresholds())
        stone = prune.condemn(live, plan, records, survey, prune.census(survey, accounts, gone))
    finally:
        live.close()
    gone |= prune.delete([*plan.delete, *plan.delete_indexes], survey.listed)
    named = {pack for name, packs in live.indexes.items() if name not in gone for pack in packs}
    prune.clear(survey, named | (survey.listed.keys() - gone), now, [began, stone])
    if hollow:
        raise _refusal(hollow)
    return prune.report(verdicts, suspended)


def _another() -> PruneRefused:
    hint = "let one prune of a vault run at a time; nothing is lost"
    return PruneRefused("another prune of this vault is under way", hint=hint)


def _only(records: RecordPlan, hollow: Collection[Snapshot]) -> RecordPlan:
    """Let nothing whole expire while something is lost: it may hold what is left."""
    names = {snapshot_name(s.account_id, s.id) for s in hollow}
    return RecordPlan(
        condemn=tuple(n for n in records.condemn if n in names), delete=tuple(n for n in records.delete if n in names)
    )


def _refusal(hollow: Sequence[Snapshot]) -> PruneRefused:
    first = hollow[0]
    more = f" and {len(hollow) - 1} more" if len(hollow) > 1 else ""
    what = f"nothing whole was pruned: snapshot {first.id} of {first.account}{more} lacks something"
    hint = "`restante check` names it; the next backup writes anew what the server still has"
    return PruneRefused(what, hint=f"{hint}; if an index is lost: `restante index rebuild`")


class _Prune:
    def __init__(
        self, store: FullStore, ring: KeyRing, clock: Clock, tool: str, progress: Progress, *, dry_run: bool
    ) -> None:
        self._store = store
        self._ring = ring
        self._clock = clock
        self._tool = tool
        self._progress = progress
        self._dry_run = dry_run
        self._condemned = 0
        self._deleted = 0
        self._freed = 0
        self._waiting = 0
        self._known: frozenset[ObjectName] = frozenset()
        self._ours: set[ObjectName] = set()
        self._notes: list[str] = []

    def liveness(self) -> Liveness:
        """Return what finds out what is live, knowing nothing yet."""
        return Liveness(self._store, self._ring)

    def begin(self) -> Written:
        """Write a tombstone of nothing, for the store to say what time it is."""
        return self._bury(Tombstone(time=rfc3339(self._clock.now()), tool=self._tool))

    def _bury(self, stone: Tombstone) -> Written:
        written = write_tombstone(self._store, self._ring, self._clock, stone)
        self._ours.add(written.name)
        return written

    def disturbed(self) -> bool:
        """Say whether somebody else wrote or deleted tombstones since."""
        return self._stones() - self._ours != self._known - self._ours

    def _stones(self) -> frozenset[ObjectName]:
        return frozenset(info.name for info in self._store.list("tombstones/"))

    def survey(self, acknowledged: Collection[str]) -> _Survey:
        """Read all small objects, and once more where something lacks: writers may have been at work."""
        self._known = self._stones()  # for damage that is met before they are read
        survey, gaps = self._look(acknowledged)
        if gaps:
            survey, gaps = self._look(acknowledged)
        if gaps:
            more = f", and {len(gaps) - 1} more like it" if len(gaps) > 1 else ""
            names = {s.account_id: s.account for s, _ in survey.snapshots}
            account = names.get(gaps[0].account, gaps[0].account)
            hint = f"look with `restante check`; if it is meant to be gone: `restante prune --acknowledge {account}`"
            raise PruneRefused(f"nothing was pruned: {gaps[0].object}: {gaps[0].reason}{more}", hint=hint)
        return survey

    def _look(self, acknowledged: Collection[str]) -> tuple[_Survey, list[Gap]]:
        """Runs before snapshots, snapshots before tombstones: each names what was there, or condemned, before it."""
        survey, ring, store = _Survey(), self._ring, self._store
        for info, data in self._small("runs/"):
            survey.runs[info.name] = open_run(ring, info.name, data)
            survey.listed[info.name] = info
        for info, data in self._small("snapshots/"):
            survey.snapshots.append(Seen(open_snapshot(ring, info.name, data), chain_link(data)))
            survey.listed[info.name] = info
        survey.graves, survey.holds = read_graveyard(store, ring), read_holds(store, ring)
        self._known = survey.graves.names
        for damage in (*survey.graves.unreadable, *survey.holds.unreadable):
            raise damage
        holds = {info.name for info in store.list("holds/")}
        gaps = find_gaps(survey.snapshots, survey.runs, holds, survey.graves.census, survey.graves.condemned)
        excused = {ring.account_id(name) for name in acknowledged} | set(acknowledged)
        return survey, [gap for gap in gaps if gap.account not in excused]

    def _small(self, prefix: str) -> Iterator[tuple[ObjectInfo, bytes]]:
        for info in list(self._store.list(prefix)):
            try:
                data = self._store.get(info.name)
            except ObjectMissing:
                if any(again.name == info.name for again in self._store.list(info.name)):
                    raise
                continue  # another prune was faster; what was lost instead shows as a gap
            yield info, data

    def judge(
        self, survey: _Survey, judge: Callable[[AccountState], Judgement], now: datetime
    ) -> tuple[list[Verdict], dict[AccountId, Standing], list[str]]:
        """Return the verdict on every snapshot, what stands of each account, and the accounts without expiry."""
        by_account: dict[AccountId, list[Snapshot]] = defaultdict(list)
        for snapshot, _ in survey.snapshots:
            by_account[snapshot.account_id].append(snapshot)
        census = survey.graves.census
        verdicts: list[Verdict] = []
        standing: dict[AccountId, Standing] = {}
        suspended = []
        for account, snapshots in sorted(by_account.items(), key=lambda item: item[1][0].account):
            snapshots.sort(key=lambda s: (s.sequence, s.time))
            before = census.accounts.get(account) if census else None
            written = {s.id: survey.listed[snapshot_name(account, s.id)].modified for s in snapshots}
            held = {s.id for s in snapshots if survey.holds.covers(account, s.id)}
            state = AccountState(snapshots[0].account, snapshots, written, held, before, now)
            judged = judge(state)
            of_account = [Verdict(s.id, s.account, account, s.time, *judged.verdicts[s.id]) for s in snapshots]
            verdicts += of_account
            standing[account] = Standing(
                sequence=max(snapshots[-1].sequence, before.sequence if before else 0),
                snapshots=tuple(v.id for v in of_account if v.keep),
                suspended=judged.suspended,
            )
            suspended += [state.name] if judged.suspended else []
        return verdicts, standing, suspended

    def find_live(
        self, live: Liveness, survey: _Survey, verdicts: Sequence[Verdict], records: RecordPlan
    ) -> list[Snapshot]:
        """Find out what the snapshots need that stay for now; return those that lack something."""
        indexes = list(self._store.list("index/"))
        live.read_indexes(indexes)
        packs = {info.name: info for prefix in ("packs/", "meta/") for info in self._store.list(prefix)}
        live.present({name: info.size for name, info in packs.items()}, survey.graves.condemned.keys())
        survey.listed.update(packs)
        survey.listed.update((info.name, info) for info in indexes)
        kept = {verdict.id for verdict in verdicts if verdict.keep}
        going = set(records.delete)
        snapshots = [s for s, _ in survey.snapshots if snapshot_name(s.account_id, s.id) not in going]
        self._progress.expect("", len(snapshots), 0)
        live.walk(self._counted(s for s in snapshots if s.id in kept), kept=True)
        live.walk(self._counted(s for s in snapshots if s.id not in kept), kept=False)
        live.settle()
        return live.hollow()

    def _counted(self, things: Iterable[ThingT]) -> Iterator[ThingT]:
        for thing in things:
            self._progress.advance("", 1, 0)
            yield thing

    def plan_packs(
        self,
        live: Liveness,
        survey: _Survey,
        gone: Collection[ObjectName],
        records: RecordPlan,
        now: datetime,
        thresholds: Thresholds,
    ) -> PackPlan:
        """Plan what becomes of packs; what a snapshot needs that the store would not let go stays too."""
        refused = set(records.delete) - set(gone)
        live.walk((s for s, _ in survey.snapshots if snapshot_name(s.account_id, s.id) in refused), kept=False)
        live.settle()
        untold = live.untold()
        if untold:
            self._notes.append(f"content packs were left alone: nothing tells what attachments {untold} messages need")
        listed = {n: info for n, info in survey.listed.items() if n.startswith(("packs/", "meta/", "index/"))}
        return plan_packs(
            live.uses(), live.indexes, listed, survey.graves, now, untold=bool(untold), thresholds=thresholds
        )

    def census(self, survey: _Survey, accounts: dict[AccountId, Standing], gone: Collection[ObjectName]) -> Census:
        """Say what stands after this prune. A run record once seen is known, though a listing may lack it."""
        before = survey.graves.census
        runs = {*survey.runs, *(before.runs if before else ())}.difference(gone)
        holds = {name: hold.account_id for name, hold in survey.holds.records.items()}
        return Census(accounts=accounts, runs=tuple(sorted(runs)), holds=holds)

    def condemn(
        self,
        live: Liveness,
        plan: PackPlan,
        records: RecordPlan,
        survey: _Survey,
        census: Census,
    ) -> Written | None:
        """Copy what is live out of what is condemned, write its index, then the tombstone."""
        compaction = Compaction(self._store, self._ring, self._clock, live, self._progress)
        spoilt: Collection[ObjectName] = ()
        if not self._dry_run:
            spoilt = compaction.copy(plan.copy)
            self._notes += [f"{name} is not what was written; it was left alone" for name in spoilt]
            compaction.write_index({*plan.index, *spoilt})
        objects = [name for name in (*records.condemn, *plan.condemn) if name not in spoilt]
        self._condemned = len(objects)
        if self._dry_run or (not objects and census == survey.graves.census):
            return None
        if self.disturbed():
            raise _another()  # its census is newer than what we read
        stone = Tombstone(
            time=rfc3339(self._clock.now()), objects=tuple(sorted(objects)), census=census, tool=self._tool
        )
        return self._bury(stone)

    def delete(self, names: Iterable[ObjectName], listed: Mapping[ObjectName, ObjectInfo]) -> set[ObjectName]:
        """Delete objects in the given order and return those that are gone; a refusal is no error."""
        gone = set()
        wanted = [name for name in names if name in listed]
        self._progress.expect("", len(wanted), 0)
        for name in self._counted(wanted):
            if self._delete(name):
                self._deleted += 1
                self._freed += listed[name].size
                gone.add(name)
        return gone

    def _delete(self, name: ObjectName) -> bool:
        if self._dry_run:
            return True
        self._ours.add(name)
        try:
            self._store.delete(name)
        except StoreError as error:
            if error.retryable:
                raise
            self._waiting += 1
            return False
        return True

    def clear(self, survey: _Survey, left: set[ObjectName], now: datetime, written: Sequence[Written | None]) -> None:
        """Delete tombstones of which nothing is `left`, there or in an index; the newest census stays."""
        if self._dry_run:
            return
        ours = [stone for stone in written if stone]
        graves = Graveyard((*survey.graves.tombstones, *ours))
        condemned = graves.condemned
        for stone in graves.tombstones:
            another_s = stone not in ours and now - stone.written < GRACE
            if stone is not graves.newest and not another_s and left.isdisjoint(condemned.keys() & stone.body.objects):
                self._delete(stone.name)

    def report(self, verdicts: Sequence[Verdict], suspended: Sequence[str]) -> PruneReport:
        """Put everything together."""
        if self._waiting:
            self._notes.append(f"{self._waiting} objects may go, but the store does not let them go yet")
        return PruneReport(
            tuple(verdicts), self._condemned, self._deleted, self._freed, self._waiting, tuple(suspended),
            tuple(self._notes),
        )  # fmt: skip
