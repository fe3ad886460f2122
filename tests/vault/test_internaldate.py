"""INTERNALDATE as numbers and back (RFC 9051 §9; docs/vault-format.md §6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.ids import BlobId
from vault.internaldate import epoch_of, format_internaldate, parse_internaldate
from vault.model import MessageRow
from vault.table import RowCodec

ODD = (
    " 1-Jan-2024 00:00:00 +0000",
    "1-Jan-2024 00:00:00 +0000",
    "01-Jan-2024 00:00:00 -0000",
    "01-JAN-2024 00:00:00 +0000",
    "31-Feb-2024 00:00:00 +0000",
    "30-Jun-2015 23:59:60 +0000",
    "01-Jan-2024 24:00:00 +0000",
    "01-Jan-2024 00:00:00 +0060",
    "00-Jan-2024 00:00:00 +0000",
    "01-Jan-0000 00:00:00 +0000",
    "01-Jan-2024 00:00:00",
    "01-M\xe4r-2024 00:00:00 +0100",
    "",
    "NIL",
)
SECONDS = st.integers(
    int(datetime(1, 1, 3, tzinfo=UTC).timestamp()), int(datetime(9999, 12, 29, tzinfo=UTC).timestamp())
)
TEXTS = st.one_of(
    st.sampled_from(ODD),
    st.from_regex(
        r"[ 0-3][0-9]-(Jan|Feb|Dec|jan)-[0-9]{4} [0-2][0-9]:[0-6][0-9]:[0-6][0-9] [+-][0-9]{4}", fullmatch=True
    ),
    st.text(st.characters(max_codepoint=255), max_size=30),
)


def row(uid: int, date: str) -> MessageRow:
    return MessageRow(uid, BlobId(bytes(16)), 7, date)


@given(SECONDS, st.integers(-99 * 60 - 59, 99 * 60 + 59).filter(lambda zone: abs(zone) < 24 * 60))
def test_every_moment_in_every_zone_comes_back(seconds: int, zone: int) -> None:
    text = format_internaldate(seconds, zone)
    assert parse_internaldate(text) == (seconds, zone)
    local = datetime.fromtimestamp(seconds, timezone(timedelta(minutes=zone)))
    assert text[3:6] == "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()[local.month - 1]
    assert text[:3] + text[7:] == f"{local.day:02}-{local.year:04} {local:%H:%M:%S %z}"


@given(TEXTS)
def test_a_date_that_numbers_would_change_is_not_made_numbers(text: str) -> None:
    parsed = parse_internaldate(text)
    assert parsed is None or format_internaldate(*parsed) == text


@pytest.mark.parametrize("text", ODD)
def test_odd_dates_are_not_made_numbers(text: str) -> None:
    assert parse_internaldate(text) is None


@given(st.lists(TEXTS, min_size=1, max_size=20))
def test_every_date_comes_back_from_a_page(texts: list[str]) -> None:
    rows = [row(uid, text) for uid, text in enumerate(texts, 1)]
    assert RowCodec().decode(RowCodec().encode(rows)) == rows


def test_the_moment_of_a_date_is_the_one_it_says() -> None:
    assert parse_internaldate("17-Jul-1996 02:44:25 -0700") == (837_596_665, -420)
    assert parse_internaldate("31-Dec-1969 23:59:59 +0000") == (-1, 0)


def test_a_blank_before_the_day_says_the_same_moment() -> None:
    assert epoch_of(" 1-Jan-1970 00:00:10 +0000") == epoch_of("1-Jan-1970 00:00:10 +0000") == 10
    assert epoch_of("yesterday") is None
