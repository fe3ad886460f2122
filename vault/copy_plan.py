"""What a second site lacks, and in which order it travels. Pure.

The order is the writer's: keys, packs, meta objects, indexes, and only then what names them. So at every instant each
snapshot at the copy has all that it needs. Holds come before the snapshots that they keep, an account's snapshots one
after the other, and tombstones last: their census names the snapshots, runs and holds that stood, so all of these are
there before it counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from vault.ids import ObjectName
from vault.keyring import is_vault_file
from vault.proof import is_ours
from vault.records import stamp_of
from vault.stores.base import ObjectInfo

STEPS = ("keys/", "vault", "packs/", "meta/", "index/", "holds/", "snapshots/", "runs/", "tombstones/")
"""Prefixes, in order of writing. A source is listed the other way round: what one names, a later listing shows."""
NAMED = ("packs/", "meta/", "index/")
"""What snapshots rely on."""

Lane = tuple[ObjectInfo, ...]
"""Objects written one after the other; lanes of a step are independent of each other."""


@dataclass(frozen=True, slots=True)
class Step:
    """Objects of one kind that are missing at the copy."""

    prefix: str
    lanes: tuple[Lane, ...]

    @property
    def objects(self) -> int:
        """How many they are."""
        return sum(len(lane) for lane in self.lanes)

    @property
    def octets(self) -> int:
        """How long they are."""
        return sum(info.size for lane in self.lanes for info in lane)


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """What travels, in this order; `present` objects are there, `differing` ones with another size than here."""

    steps: tuple[Step, ...]
    present: int = 0
    differing: tuple[ObjectName, ...] = ()

    @property
    def objects(self) -> int:
        """How many objects travel."""
        return sum(step.objects for step in self.steps)

    @property
    def octets(self) -> int:
        """How many octets travel."""
        return sum(step.octets for step in self.steps)


def plan_copy(here: Iterable[ObjectInfo], there: Mapping[ObjectName, int]) -> CopyPlan:
    """Plan a copy; `there` tells the sizes of what the other site has. What is there is left alone, whatever it is."""
    by_step: dict[str, dict[str, list[ObjectInfo]]] = {prefix: defaultdict(list) for prefix in STEPS}
    differing, present = [], 0
    for info in sorted(here, key=lambda info: info.name):
        if not is_ours(info.name):
            continue
        if info.name not in there:
            prefix = next(prefix for prefix in STEPS if info.name.startswith(prefix))
            by_step[prefix][_lane(info.name)].append(info)
        elif there[info.name] != info.size:
            differing.append(info.name)
        else:
            present += 1
    steps = (Step(prefix, tuple(map(tuple, lanes.values()))) for prefix, lanes in by_step.items() if lanes)
    return CopyPlan(tuple(steps), present, tuple(differing))


def _lane(name: ObjectName) -> str:
    """Return what names written in order have in common; the newest census must stay the newest."""
    if is_vault_file(name):
        return "vault"
    return name.rpartition("/")[0] if name.startswith(("keys/", "snapshots/", "tombstones/")) else name


def lag(here: Iterable[ObjectName], there: Iterable[ObjectName]) -> float:
    """Return by how many seconds the newest snapshot there is older than here, for the account that is worst off.

    An account that has none there counts from its first one here.
    """
    ours, theirs = _times(here), _times(there)
    return max(
        ((times[-1] - theirs.get(a, times)[-1 if a in theirs else 0]).total_seconds() for a, times in ours.items()),
        default=0.0,
    )


def _times(names: Iterable[ObjectName]) -> dict[str, list[datetime]]:
    found: dict[str, list[datetime]] = defaultdict(list)
    for name in sorted(names):
        if name.startswith("snapshots/") and is_ours(name):
            _, account, moment = name.split("/")
            found[account].append(stamp_of(moment))
    return found
