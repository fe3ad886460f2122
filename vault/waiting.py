"""Blobs on their way into blocks, and which of them wait for each other's company."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from vault.catalogue import RawEntry
from vault.ids import BlobId
from vault.recipe import PLAIN
from vault.seal import checksum

_BLOCKS_WAITING, _ALL_BLOCKS_WAITING = 2, 8
"""So many blocks' worth of one account's messages or pieces wait, and of all accounts' together."""


class Share:
    """Counts the stored octets that one account's messages cost, each block's shared by size."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.octets = 0

    def add(self, octets: int) -> None:
        """Count some more."""
        with self._lock:
            self.octets += octets


class Stretch:
    """Messages of one account that are likely to be wanted together: those of one mailbox that come in a row."""

    def __init__(self, account: Share | None = None) -> None:
        self.account = account or Share()


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob in its stored form, on its way into a block; `entry` is a message's line in the catalogue."""

    id: BlobId
    stored: bytes
    stretch: Stretch
    entry: RawEntry | None
    digest: bytes = field(init=False)

    def __post_init__(self) -> None:
        # What a plain form must hash to is in its id; a recipe's own octets need a digest to be verified by.
        recipe = not self.stored.startswith(PLAIN)
        object.__setattr__(self, "digest", checksum(self.stored) if recipe else b"")


class _Kin(NamedTuple):
    """What lies together: an account's messages, or pieces of them."""

    account: Share
    messages: bool


class _Lot:
    """Blobs of one stretch, or an account's pieces, in order."""

    def __init__(self) -> None:
        self.blobs: list[StoredBlob] = []
        self.octets = 0


class Waiting:
    """Small blobs waiting for company in a block: that of their stretch, else of their account, else of others.

    Who restores a mailbox then opens few blocks, and reads little of others' mail; and like lies beside like.
    Pieces lie apart: they are wanted with mail of other mailboxes and accounts too.
    """

    def __init__(self, block: int) -> None:
        self._block = block
        self._lots: dict[_Kin, dict[Stretch | Share, _Lot]] = {}
        self._octets: Counter[_Kin] = Counter()

    def add(self, blob: StoredBlob) -> list[StoredBlob]:
        """Take a blob; return what is enough for a block now, if anything is."""
        kin = _Kin(blob.stretch.account, blob.entry is not None)
        key = blob.stretch if kin.messages else kin.account
        lot = self._lots.setdefault(kin, {}).setdefault(key, _Lot())
        lot.blobs.append(blob)
        lot.octets += len(blob.stored)
        self._octets[kin] += len(blob.stored)
        if lot.octets >= self._block:
            return self._take(kin, key)
        if self._octets[kin] >= _BLOCKS_WAITING * self._block:
            return self._oldest(kin, self._block)
        return self.gather() if self._octets.total() >= _ALL_BLOCKS_WAITING * self._block else []

    def gather(self) -> list[StoredBlob]:
        """Return the blobs of whoever came first, of as many accounts as a block holds; nothing when none wait."""
        group: list[StoredBlob] = []
        left = self._block
        while self._lots and left > 0:
            some = self._oldest(next(iter(self._lots)), left)
            left -= sum(len(blob.stored) for blob in some)
            group += some
        return group

    def _oldest(self, kin: _Kin, enough: int) -> list[StoredBlob]:
        """Return the lots that began first, until they make `enough` octets."""
        group: list[StoredBlob] = []
        before = self._octets[kin]
        while kin in self._lots and before - self._octets[kin] < enough:
            group += self._take(kin, next(iter(self._lots[kin])))
        return group

    def _take(self, kin: _Kin, key: Stretch | Share) -> list[StoredBlob]:
        lot = self._lots[kin].pop(key)
        self._octets[kin] -= lot.octets
        if not self._lots[kin]:
            del self._lots[kin], self._octets[kin]
        return lot.blobs
