"""Healing damaged and missing objects from a copy of the vault: what a check named, and nothing else.

What comes from the copy is proved first, so that nothing but what was written replaces anything. A copy also has what
was pruned here, or revoked: that is not brought back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from vault.check_report import DamageFound
from vault.copy_plan import STEPS
from vault.errors import Damage, ObjectMissing, StoreError
from vault.ids import ObjectName
from vault.index import read_index_object
from vault.keyring import refuse_another
from vault.keys import KeyRing
from vault.proof import is_ours, prove
from vault.records import open_snapshot
from vault.stores.base import FullStore, ReadStore
from vault.tombstones import Census, read_graveyard


@dataclass(frozen=True, slots=True)
class Candidate:
    """An object to bring; where nobody named it but its folder (`if_needed`), only if nothing shows it was let go."""

    name: ObjectName
    if_needed: bool = False


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of one damaged or missing object; `reason` says why it could not be healed, else it is empty."""

    object: str
    reason: str = ""

    @property
    def healed(self) -> bool:
        """Whether it is now what was written."""
        return not self.reason


def plan_repair(
    damaged: Iterable[str], here: Collection[ObjectName], there: Collection[ObjectName]
) -> tuple[list[Candidate], list[Repair]]:
    """Return what to bring, in order of writing, and what the copy can't help with. Pure."""
    wanted: dict[ObjectName, Candidate] = {}
    hopeless = []
    damaged = sorted(set(damaged), reverse=True)  # a folder after what lies in it
    for damage in damaged:
        if damage.endswith("/"):
            found = [n for n in there if n.startswith(damage) and n not in here and is_ours(n)]
            wanted.update({n: wanted.get(n, Candidate(n, if_needed=True)) for n in found})
            if not any(name.startswith(damage) for name in wanted):
                hopeless.append(Repair(damage, "the copy has nothing more of it"))
        elif damage in there:
            wanted[ObjectName(damage)] = Candidate(ObjectName(damage))
        else:
            hopeless.append(Repair(damage, "the copy does not have it"))
    return sorted(wanted.values(), key=_place), hopeless


def _place(one: Candidate) -> tuple[int, ObjectName]:
    step = next((n for n, prefix in enumerate(STEPS) if one.name.startswith(prefix)), len(STEPS))
    return step, one.name


def repair_vault(store: FullStore, ring: KeyRing, copy: ReadStore, damage: Iterable[DamageFound]) -> Iterator[Repair]:
    """Bring what is damaged from a copy; yield what became of each object. Raises VaultError, StoreError."""
    refuse_another(copy, ring.vault_id, empty=False)
    here = {info.name for info in store.list()}
    plan, hopeless = plan_repair([found.object for found in damage], here, {info.name for info in copy.list()})
    yield from hopeless
    census = read_graveyard(store, ring).census
    for one in plan:
        if one.if_needed and not _needed(store, ring, copy, one.name, census):
            continue
        yield _bring(store, ring, copy, one.name)


def _bring(store: FullStore, ring: KeyRing, copy: ReadStore, name: ObjectName) -> Repair:
    try:
        data = copy.get(name)
        prove(ring, name, data)
    except ObjectMissing:
        return Repair(name, "the copy does not have it")
    except Damage:
        return Repair(name, "it is damaged in the copy too")
    try:
        _replace(store, name, data)
        return Repair(name, "" if store.get(name) == data else "the store goes on giving out the damaged object")
    except StoreError as error:
        if error.retryable:
            raise
        return Repair(name, error.message)


def _replace(store: FullStore, name: ObjectName, data: bytes) -> None:
    """Write it. Where the store holds on to what is damaged, that goes first, now that its remedy is at hand."""
    try:
        store.put(name, data)
        if store.get(name) == data:
            return
    except StoreError as error:
        if error.retryable:
            raise
    store.delete(name)
    store.put(name, data)


def _needed(store: ReadStore, ring: KeyRing, copy: ReadStore, name: ObjectName, census: Census | None) -> bool:
    """Say whether an object was lost here, as far as that can be told, and not let go by a prune."""
    checks: Mapping[str, Callable[[], bool]] = {
        "index": partial(_names_what_is_here, store, ring, copy, name),
        "snapshots": partial(_stood, ring, copy, name, census),
    }
    try:
        return checks.get(name.partition("/")[0], lambda: True)()
    except (Damage, ObjectMissing):
        return False


def _names_what_is_here(store: ReadStore, ring: KeyRing, copy: ReadStore, name: ObjectName) -> bool:
    here = {info.name for prefix in ("packs/", "meta/") for info in store.list(prefix)}
    return all(entry.name in here for entry in read_index_object(copy, ring, name))


def _stood(ring: KeyRing, copy: ReadStore, name: ObjectName, census: Census | None) -> bool:
    snapshot = open_snapshot(ring, name, copy.get(name))
    standing = census.accounts.get(snapshot.account_id) if census else None
    return standing is None or snapshot.sequence > standing.sequence or snapshot.id in standing.snapshots
