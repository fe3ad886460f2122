"""Spans: neighbouring octets fetched together answer as the store itself does, with few requests."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults import MemoryStore
from vault.errors import ObjectCutShort, StoreUnavailable
from vault.ids import ObjectName
from vault.stores import spans
from vault.stores.spans import SpanStore

PACK = ObjectName("packs/ab/" + "ab" * 32)
SMALL = 16


class Counting(MemoryStore):
    """Notes what is asked for; the first `failing` requests fail."""

    def __init__(self, data: bytes, failing: int = 0) -> None:
        super().__init__({PACK: data})
        self.asked: list[tuple[int, int | None]] = []
        self.failing = failing

    def get(self, name: ObjectName, *, start: int = 0, length: int | None = None) -> bytes:
        self.asked.append((start, length))
        if len(self.asked) <= self.failing:
            raise StoreUnavailable("no answer")
        return super().get(name, start=start, length=length)


@pytest.fixture(autouse=True)
def _small_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "SPAN", SMALL)


def _store(store: Counting, size: int | None = None) -> SpanStore:
    return SpanStore(store, lambda _: len(store.objects[PACK]) if size is None else size)


@given(
    octets=st.binary(min_size=1, max_size=150),
    ranges=st.lists(st.tuples(st.integers(0, 149), st.integers(1, 150)), min_size=1, max_size=30),
    slots=st.sampled_from([2, 100]),
)
def test_any_order_of_ranges_reads_as_the_store_does(octets: bytes, ranges: list[tuple[int, int]], slots: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spans, "SPAN", SMALL)
        patch.setattr(spans, "_MOST_SPANS", slots)
        store = _store(Counting(octets))
        for start, length in ranges:
            expected = octets[start : start + length]
            if expected:
                assert store.get(PACK, start=start, length=len(expected)) == expected


def test_what_is_asked_for_once_is_read_in_one_place_and_what_is_asked_for_again_whole() -> None:
    counting = Counting(bytes(range(4 * SMALL)))
    store = _store(counting)
    assert store.get(PACK, start=SMALL, length=2) == bytes((SMALL, SMALL + 1))
    assert counting.asked == [(SMALL, SMALL)]
    for start in (60, 35, 2, 17):
        assert store.get(PACK, start=start, length=2) == bytes((start, start + 1))
    assert counting.asked == [(SMALL, SMALL), (2 * SMALL, 2 * SMALL), (0, SMALL)]


def test_a_request_that_failed_is_made_again_by_whoever_comes_next() -> None:
    counting = Counting(bytes(100), failing=1)
    store = _store(counting)
    with pytest.raises(StoreUnavailable):
        store.get(PACK, start=5, length=5)
    assert store.get(PACK, start=5, length=5) == bytes(5)


def test_of_an_object_cut_short_what_is_there_is_still_read() -> None:
    counting = Counting(bytes(range(40)))
    store = _store(counting, size=64)
    assert store.get(PACK, start=30, length=10) == bytes(range(30, 40))
    with pytest.raises(ObjectCutShort):
        store.get(PACK, start=35, length=10)


def test_many_threads_get_their_octets_and_fetch_nothing_twice() -> None:
    octets = Random(7).randbytes(8 * SMALL)
    counting = Counting(octets)
    store = _store(counting)
    starts = [Random(seed).randrange(len(octets) - 4) for seed in range(400)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda start: store.get(PACK, start=start, length=4), starts))
    assert found == [octets[start : start + 4] for start in starts]
    assert sum(length or 0 for _, length in counting.asked) == len(octets)
