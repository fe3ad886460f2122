"""Reading blobs: what is kept in memory, so that a restore does not open the same blocks again and again."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus import base64_lines, mail_with, octets
from tests.faults import MemoryStore
from tests.vault.archive import Archive
from vault import blobs
from vault.ids import ObjectName
from vault.shelf import Shelf


class Counting(MemoryStore):
    """Notes where in which pack reading began, and how often."""

    def __init__(self, objects: dict[ObjectName, bytes]) -> None:
        super().__init__(objects)
        self.begun: Counter[tuple[ObjectName, int]] = Counter()

    def get(self, name: ObjectName, *, start: int = 0, length: int | None = None) -> bytes:
        if name.startswith("packs/"):
            self.begun[name, start] += 1
        return super().get(name, start=start, length=length)


def test_a_small_attachment_of_many_mails_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "_CACHE_OCTETS", 1)
    logo, archive = base64_lines(octets(1_500)), Archive()
    texts = [octets(1_800, seed=2 + number).hex().encode() for number in range(30)]
    mails = {n: mail_with(text, logo, number=n) for n, text in enumerate(texts, 1)}
    archive.backup(mails)
    store = Counting(archive.store.objects)
    vault = archive.open(store)
    for mail in mails.values():
        assert vault.read_message(vault.ring.blob_id(b"message", mail)) == mail
    assert len(store.begun) > 10
    assert max(store.begun.values()) <= 3


@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=40),
    room=st.integers(0, 100),
    longer_than=st.integers(0, 10),
    at_most=st.integers(5, 30),
)
def test_a_shelf_returns_what_was_loaded_and_keeps_no_more_than_it_has_room_for(
    sizes: list[int], room: int, longer_than: int, at_most: int
) -> None:
    shelf, loads = Shelf(room), Counter[int]()

    def load(size: int) -> bytes:
        loads[size] += 1
        return bytes(size)

    for size in sizes:
        got = shelf.get(size, lambda size=size: load(size), longer_than=longer_than, at_most=at_most)  # type: ignore[misc]
        assert got == bytes(size)
    for size, count in Counter(sizes).items():
        assert loads[size] <= count
        if not longer_than < size <= at_most:
            assert loads[size] == count
    if sum(size for size in set(sizes) if longer_than < size <= at_most) <= room:
        assert all(loads[size] == 1 for size in sizes if longer_than < size <= at_most)
