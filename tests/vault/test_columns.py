"""Columns at rest (docs/vault-format.md §4)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.columns import ColumnError, ColumnReader, ColumnWriter, deltas, undeltas

NUMBERS = st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=40)
STRINGS = st.lists(st.binary(max_size=20), max_size=20)
COLUMNS = st.lists(
    st.one_of(
        st.tuples(st.just("octets"), st.binary(max_size=50)),
        st.tuples(st.just("numbers"), NUMBERS),
        st.tuples(st.just("strings"), STRINGS),
    ),
    max_size=6,
)


def written(columns: list[tuple[str, Any]]) -> bytes:
    writer = ColumnWriter()
    for kind, value in columns:
        getattr(writer, kind)(value)
    return writer.done()


def read(data: bytes, kinds: list[str]) -> list[Any]:
    reader = ColumnReader(data)
    values = [getattr(reader, kind)() for kind in kinds]
    reader.done()
    return values


@given(COLUMNS)
def test_columns_are_read_as_they_were_written(columns: list[tuple[str, Any]]) -> None:
    assert read(written(columns), [kind for kind, _ in columns]) == [value for _, value in columns]


@given(COLUMNS.filter(bool), st.data())
def test_columns_cut_short_or_with_octets_left_over_are_refused(
    columns: list[tuple[str, Any]], data: st.DataObject
) -> None:
    octets, kinds = written(columns), [kind for kind, _ in columns]
    for wrong in (octets[: data.draw(st.integers(0, len(octets) - 1))], octets + b"\0"):
        with pytest.raises(ColumnError):
            read(wrong, kinds)


@given(st.binary(max_size=200), st.lists(st.sampled_from(["octets", "numbers", "strings"]), max_size=5))
def test_wild_octets_are_columns_or_refused(octets: bytes, kinds: list[str]) -> None:
    try:
        values = read(octets, kinds)
    except ColumnError:
        return
    assert written(list(zip(kinds, values, strict=True))) == octets


@given(st.lists(st.integers(-(1 << 62), (1 << 62) - 1)))
def test_deltas_are_undone(numbers: list[int]) -> None:
    assert undeltas(deltas(numbers)) == numbers


def test_numbers_lie_plane_by_plane_lowest_octets_first() -> None:
    planes = bytes([0x02, 0xFF, 0x01, 0xFF]) + bytes([0, 0xFF]) * 6
    assert ColumnWriter().numbers([0x0102, -1]).done() == b"\x10\0\0\0" + planes


def test_strings_are_their_lengths_then_all_octets_end_to_end() -> None:
    planes = bytes([2, 0, 1]) + bytes(21)
    assert ColumnWriter().strings([b"ab", b"", b"c"]).done() == b"\x18\0\0\0" + planes + b"\x03\0\0\0abc"


def test_a_column_that_does_not_divide_into_its_width_is_refused() -> None:
    with pytest.raises(ColumnError):
        ColumnReader(written([("octets", b"x" * 17)])).fixed(16)
    with pytest.raises(ColumnError):
        ColumnReader(written([("octets", b"x" * 15)])).numbers()


@pytest.mark.parametrize("lengths", [[3, -1], [1], [2, 1]])
def test_string_lengths_that_do_not_add_up_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ColumnError):
        ColumnReader(written([("numbers", lengths), ("octets", b"ab")])).strings()


@pytest.mark.parametrize("octets", [b"", b"\5\0\0", b"\5\0\0\0abcd", b"\xff\xff\xff\xff"])
def test_a_column_that_runs_past_the_end_is_refused_before_anything_is_made_of_it(octets: bytes) -> None:
    with pytest.raises(ColumnError):
        ColumnReader(octets).octets()
