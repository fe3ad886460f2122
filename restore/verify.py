"""Comparing what a target gives back with what the vault holds: octets first, then flags and dates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from restore.fingerprint import identity
from restore.model import Alteration, ReadBack, RestoreFailure
from restore.select import Selected
from vault.ids import BlobId
from vault.internaldate import epoch_of
from vault.vault import Vault


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many messages are the same octet for octet, what the target altered, and what is missing."""

    same: int
    altered: tuple[Alteration, ...]
    missing: tuple[RestoreFailure, ...]


def verify_mailbox(vault: Vault, name: str, expected: Sequence[Selected], found: Iterable[ReadBack]) -> Verdict:
    """Compare a mailbox message by message; what the target holds besides is nobody's concern."""
    waiting: defaultdict[BlobId, list[Selected]] = defaultdict(list)
    for selected in expected:
        waiting[selected[0].blob].append(selected)
    altered: list[Alteration] = []
    strangers: defaultdict[bytes, int] = defaultdict(int)
    same = 0
    for read in found:
        twins = waiting.get(vault.ring.blob_id(b"message", read.octets))
        if twins:
            row, flags = twins.pop(_best(twins, read))
            altered += [Alteration(name, row.uid, what) for what in _differences(row.internaldate, flags, read)]
            same += 1
        else:
            strangers[identity(read.octets)] += 1
    missing = []
    for row, _ in (selected for twins in waiting.values() for selected in twins):
        key = identity(vault.read_message(row.blob))
        if strangers[key] > 0:
            strangers[key] -= 1
            altered.append(Alteration(name, row.uid, "the target keeps other octets"))
        else:
            missing.append(RestoreFailure(name, row.uid, "the target does not give it back"))
    return Verdict(same, tuple(altered), tuple(missing))


def _best(twins: Sequence[Selected], read: ReadBack) -> int:
    """Of equal messages take the one whose flags and date agree, so that twins aren't called altered."""
    counts = [len(list(_differences(row.internaldate, flags, read))) for row, flags in twins]
    return counts.index(min(counts))


def _differences(internaldate: str, flags: Sequence[str], read: ReadBack) -> Iterable[str]:
    if read.flags is not None:
        kept = {flag.lower() for flag in read.flags}
        lost = [flag for flag in flags if flag.lower() not in kept]
        if lost:
            yield f"it lacks {' '.join(lost)}"
    if read.internaldate is not None and epoch_of(internaldate) != epoch_of(read.internaldate):
        yield f"its date is {read.internaldate}"
