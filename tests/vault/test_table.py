"""Tables: their shape depends on the UIDs alone, and a change rewrites little (docs/vault-format.md §6)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault import table as tables
from vault.columns import ColumnError, ColumnWriter
from vault.ids import BlobId
from vault.model import Flags
from vault.table import FlagRow, Table, flag_table, message_table, nodes

SETS: tuple[Flags, ...] = ((), ("\\Seen",), ("$Junk", "\\Answered"))
SPANS = st.tuples(st.integers(1, 900), st.integers(0, 250), st.integers(1, 3))
STEPS = st.lists(
    st.tuples(st.lists(st.tuples(SPANS, st.sampled_from(SETS)), max_size=3), st.lists(SPANS, max_size=3)), max_size=6
)


class Pages(dict[BlobId, bytes]):
    """Pages by name; counts what is written and what is read."""

    reads = 0

    def put(self, data: bytes) -> BlobId:
        name = BlobId(hashlib.sha256(data).digest()[:16])
        self[name] = data
        return name

    def read(self, name: BlobId) -> bytes:
        self.reads += 1
        return self[name]


@pytest.fixture(params=[(9, 6), (2, 1), (1, 1)], ids=["as on the page", "small pages", "tiny pages"])
def bits(request: pytest.FixtureRequest) -> Iterator[None]:
    """Make pages small, so that a few hundred rows have many levels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "LEAF_BITS", request.param[0])
        patch.setattr(tables, "NODE_BITS", request.param[1])
        yield


def spread(span: tuple[int, int, int]) -> range:
    first, count, step = span
    return range(first, first + count * step, step)


def built(pages: Pages, rows: dict[int, Flags]) -> BlobId | None:
    """Build a table in one go."""
    fresh = flag_table(pages.read, None)
    fresh.update(rows.items(), (), pages.put)
    return fresh.write_root(pages.put)


@pytest.mark.usefixtures("bits")
@settings(max_examples=60)
@given(STEPS)
def test_whatever_came_and_went_the_same_rows_have_the_same_root(
    steps: list[tuple[list[tuple[tuple[int, int, int], Flags]], list[tuple[int, int, int]]]],
) -> None:
    pages, rows, root = Pages(), dict[int, Flags](), None
    for upserts, removals in steps:
        gone = {uid for span in removals for uid in spread(span)}
        fresh = {uid: flags for span, flags in upserts for uid in spread(span)}
        table = flag_table(pages.read, root)
        dropped = table.update(fresh.items(), gone, pages.put)
        assert dropped == sorted((uid, rows[uid]) for uid in rows.keys() & (gone | fresh.keys()))
        rows = {uid: flags for uid, flags in rows.items() if uid not in gone} | fresh
        root = table.write_root(pages.put)
        assert table.count == len(rows)
        assert root == built(pages, rows)
        assert list(flag_table(pages.read, root).rows()) == sorted(rows.items())


def test_an_empty_table_has_no_root() -> None:
    pages = Pages()
    table = flag_table(pages.read, built(pages, {1: (), 2: ()}))
    table.update((), {1, 2}, pages.put)
    assert table.write_root(pages.put) is None
    assert list(flag_table(pages.read, None).rows()) == []


def large(pages: Pages) -> Table[FlagRow]:
    return flag_table(pages.read, built(pages, dict.fromkeys(range(1, 100_001), SETS[1])))


@pytest.mark.parametrize("uid", [1, 50_000, 100_000, 100_001])
def test_a_change_in_a_table_of_100_000_writes_a_leaf_and_the_path_above_it(uid: int) -> None:
    pages = Pages()
    table = large(pages)
    before, pages.reads = set(pages), 0
    table.update([(uid, SETS[2])], (), pages.put)
    table.write_root(pages.put)
    new = [pages[name] for name in pages.keys() - before]
    assert len(new) <= 1 + 3
    assert pages.reads == 1


def test_an_unchanged_table_writes_nothing_and_reads_no_leaf() -> None:
    pages = Pages()
    table = large(pages)
    before, pages.reads = set(pages), 0
    assert table.update((), (), pages.put) == []
    table.write_root(pages.put)
    assert (set(pages), pages.reads) == (before, 0)


def test_looking_up_a_few_rows_reads_only_their_leaves() -> None:
    pages = Pages()
    table = large(pages)
    pages.reads = 0
    found = [uid for uid, _ in table.within([(10, 12), (50_000, 50_000), (200_000, 300_000)])]
    assert found == [10, 11, 12, 50_000]
    assert pages.reads == 2


def test_the_shape_is_the_one_on_the_page() -> None:
    """Computed here a second time: MurmurHash3's finaliser by its formula, bounds by counting zeros in a string."""

    def zeros(uid: int) -> int:
        x = uid
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
            x = (x ^ (x >> shift)) * factor % (1 << 32)
        text = f"{x:032b}"
        return len(text) - len(text.rstrip("0"))

    pages = Pages()
    root = built(pages, dict.fromkeys(range(1, 100_001), ()))
    leaves = flag_table(pages.read, root).leaves
    assert [leaf.last for leaf in leaves[:-1]] == [uid for uid in range(1, 100_001) if zeros(uid) >= 9]
    inner = sum(zeros(leaf.last) >= 15 for leaf in leaves[:-1]) + 1
    assert len(list(nodes(pages.read, root))) == inner + 1
    assert 100_000 / len(leaves) == pytest.approx(512, rel=0.2)


def test_a_page_of_another_kind_is_refused() -> None:
    pages = Pages()
    root = built(pages, {1: ()})
    with pytest.raises(ColumnError):
        list(message_table(pages.read, root).rows())
    with pytest.raises(ColumnError):
        message_table(pages.read, pages.put(ColumnWriter().octets(b"X").done()))


def test_a_flag_page_that_points_past_its_sets_is_refused() -> None:
    leaf = ColumnWriter().octets(b"F").numbers([1]).numbers([3]).octets(b'[["a"]]').done()
    with pytest.raises(ColumnError):
        tables.FlagCodec().decode(leaf)
