"""Object Lock as commands and the service use it: proven at the start, extended after each prune, told at `init`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from restante.output import count, say
from restante.wiring import Wiring
from vault.clock import Clock
from vault.errors import VaultError
from vault.stores.base import FullStore
from vault.stores.locked import LockedStore

if TYPE_CHECKING:
    from vault.copy import CopyReport
    from vault.keys import KeyRing
    from vault.locks import Extended
    from vault.prune import PruneReport

UNPROVEN = "the store refused to delete the probe, but tells of no lock: give s3:GetObjectRetention to be sure"


def prove(wiring: Wiring, clock: Clock) -> bool:
    """Prove that the store keeps the lock of the configuration; False where it can't be told. Without one, do nothing.

    Raises NotLocked, StoreError.
    """
    if not isinstance(wiring.store, LockedStore):
        return True
    from vault.locks import prove_lock

    return prove_lock(wiring.store, clock)


def prove_or_warn(wiring: Wiring, clock: Clock) -> None:
    """Prove it at the start of a command; a doubt is told. Raises NotLocked, StoreError."""
    if not prove(wiring, clock):
        say(f"note: {UNPROVEN}")


def prove_or_log(wiring: Wiring, clock: Clock) -> None:
    """Prove it at the start of the service; a doubt goes to its log. Raises NotLocked, StoreError."""
    if not prove(wiring, clock):
        import structlog

        structlog.get_logger().warning("lock unproven", reason=UNPROVEN)


def pruned(
    wiring: Wiring, clock: Clock, prune: Callable[[], PruneReport]
) -> tuple[PruneReport, Extended | None]:  # fmt: skip
    """Prune, then extend the locks of what is left; where the prune refuses, of everything. None without locks.

    None too where it was told to stop: the next prune extends them. Raises what the prune raises, and StoreError.
    """
    store = wiring.store
    if not isinstance(store, LockedStore):
        return prune(), None
    from vault.locks import clear_probes, extend_locks
    from vault.tombstones import read_graveyard

    try:
        report = prune()
    except VaultError:
        extend_locks(store, (), clock)
        raise
    if report.interrupted:
        return report, None
    clear_probes(store)
    return report, extend_locks(store, read_graveyard(store, wiring.vault.ring).condemned, clock)


def copied(
    store: FullStore, ring: KeyRing, clock: Clock, copy: Callable[[], CopyReport], doubt: Callable[[str], object]
) -> CopyReport:
    """Copy to a second site; where its locks are wanted, they are proven first and extended afterwards.

    `doubt` hears why they can't be told to hold. Raises NotLocked, and what the copy raises.
    """
    if not isinstance(store, LockedStore):
        return copy()
    from vault.locks import clear_probes, extend_locks, prove_lock
    from vault.tombstones import read_graveyard

    if not prove_lock(store, clock):
        doubt(UNPROVEN)
    report = copy()
    clear_probes(store)
    refused = extend_locks(store, read_graveyard(store, ring).condemned, clock).refused
    if refused:
        doubt(f"{store.url} refused to extend {count(len(refused), 'lock')}: give s3:PutObjectRetention")
    return report


def told_of(wiring: Wiring) -> list[str]:
    """Say plainly what the store gives against deletion, and what it does not; after `prove`."""
    store = wiring.store
    if isinstance(store, LockedStore):
        days = count(store.lock.retention.days, "day")
        who = (
            "nobody can delete it sooner, whatever rights and keys they have, short of closing the account with the"
            " provider."
            if store.lock.mode == "COMPLIANCE"
            else "only who has the right s3:BypassGovernanceRetention can delete it sooner."
        )
        often = count(max(1, store.lock.retention.days // 4), "day")
        return [
            f"Object Lock is on: what is written stays for {days}; {who}",
            f"`restante prune` extends the locks of what is still needed, so let it run at least every {often}.",
        ]
    if wiring.vault_url.startswith("file:"):
        return ["A directory keeps nothing from deletion: who may write there can delete the vault."]
    return [_bucket_told(wiring)]


def _bucket_told(wiring: Wiring) -> str:
    from vault.stores.s3 import S3Store

    assert isinstance(wiring.store, S3Store)
    told = wiring.store.protection()
    if told.lockable:
        return (
            "This bucket has Object Lock, but the configuration does not use it: who may delete versions can delete"
            " the vault. Set vault.object_lock."
        )
    if told.versioned:
        return (
            "This bucket keeps versions, so a plain deletion can be undone by hand; who may delete versions can delete"
            " the vault."
        )
    unknown = told.versioned is None or told.lockable is None
    doubt = "As far as this bucket tells, it" if unknown else "This bucket"
    return f"{doubt} keeps nothing from deletion: who may delete objects in it can delete the vault."
