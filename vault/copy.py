"""Copying a vault to a second site: only what is missing there travels, each object proved before it is written.

Nothing is deleted or overwritten there. A prune may be at work here meanwhile: what vanished since it was listed and is
needed by snapshots makes the copy look anew before it writes any snapshot, for what was live in it lies elsewhere now.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from vault.check_report import DamageFound
from vault.clock import Progress, Quiet
from vault.copy_plan import NAMED, STEPS, CopyPlan, Lane, Step, lag, plan_copy
from vault.errors import Damage, ObjectMissing, StoreUnavailable
from vault.ids import ObjectName
from vault.keyring import refuse_another
from vault.keys import KeyRing
from vault.proof import prove
from vault.stores.base import ObjectInfo, ReadStore, WriteStore

UPLOADS = 4
"""Objects under way at once; so many are in memory."""
_AT_A_TIME = 256
_LOOKS = 5


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a copy did. `skipped` objects were there already; `lag` is in seconds (copy_plan.lag)."""

    copied: int
    octets: int
    skipped: int
    damage: tuple[DamageFound, ...]
    lag: float
    interrupted: bool = False


def look_at(source: ReadStore, ring: KeyRing, to: ReadStore) -> tuple[CopyPlan, float]:
    """Return what a copy would do, and the lag as it is. Raises VaultError where another vault lies there."""
    refuse_another(to, ring.vault_id, empty=True)
    here = _listed(source)
    there = {info.name: info.size for info in to.list()}
    return plan_copy(here, there), lag((info.name for info in here), there)


def copy_vault(
    source: ReadStore,
    ring: KeyRing,
    to: WriteStore,
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> CopyReport:
    """Bring to another place what it lacks of a vault. Raises VaultError, StoreError; names damage and goes on."""
    copy = _Copy(source, ring, to, progress or Quiet(), stop or threading.Event())
    for _ in range(_LOOKS):
        plan, _ = look_at(source, ring, to)
        if copy.act(plan):
            break
    else:
        raise StoreUnavailable("packs vanish faster than they are copied", hint="run it again once the prune is over")
    here = [info.name for info in source.list("snapshots/")]
    behind = lag(here, [info.name for info in to.list("snapshots/")])
    return copy.report(plan, behind)


def _listed(store: ReadStore) -> list[ObjectInfo]:
    return [info for prefix in reversed(STEPS) for info in store.list(prefix)]


@dataclass
class _Copy:
    source: ReadStore
    ring: KeyRing
    to: WriteStore
    progress: Progress
    stop: threading.Event
    copied: int = 0
    octets: int = 0
    damage: dict[ObjectName, str] = field(default_factory=dict)
    vanished: set[ObjectName] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def act(self, plan: CopyPlan) -> bool:
        """Do what is planned; False where a snapshot may need what vanished meanwhile, before any was written."""
        self.vanished.clear()
        self.progress.expect("", plan.objects, plan.octets)
        with ThreadPoolExecutor(UPLOADS, thread_name_prefix="copy") as pool:
            for step in plan.steps:
                if step.prefix not in NAMED and any(name.startswith(NAMED) for name in self.vanished):
                    return False
                for lanes in _portions(step):
                    list(pool.map(self._lane, lanes))
        return True

    def _lane(self, lane: Lane) -> None:
        for info in lane:
            if self.stop.is_set():
                return
            self._one(info)

    def _one(self, info: ObjectInfo) -> None:
        try:
            data = self.source.get(info.name)
            prove(self.ring, info.name, data)
        except ObjectMissing:
            listed = any(again.name == info.name for again in self.source.list(info.name))
            self._lacks(info.name, "it is listed, but not there" if listed else None)
            return
        except Damage as damage:
            self._lacks(info.name, damage.message)
            return
        self.to.put(info.name, data)
        with self.lock:
            self.copied += 1
            self.octets += len(data)
        self.progress.advance("", 1, len(data))

    def _lacks(self, name: ObjectName, reason: str | None) -> None:
        with self.lock:
            if reason is None:
                self.vanished.add(name)
            else:
                self.damage[name] = reason

    def report(self, plan: CopyPlan, behind: float) -> CopyReport:
        """Put everything together."""
        there = dict.fromkeys(plan.differing, "it has another size at the copy; it was left alone")
        damage = (DamageFound(name, reason) for name, reason in sorted({**there, **self.damage}.items()))
        skipped = plan.present + len(plan.differing)
        return CopyReport(self.copied, self.octets, skipped, tuple(damage), behind, self.stop.is_set())


def _portions(step: Step) -> Iterator[tuple[Lane, ...]]:
    for start in range(0, len(step.lanes), _AT_A_TIME):
        yield step.lanes[start : start + _AT_A_TIME]
