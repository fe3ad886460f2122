"""How arguments are understood and how things are told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.headers import header_date, internal_date
from restante.output import count, duration, printable, size, utc
from restante.secrets import as_secret
from restante.when import wanted
from vault.catalogue import readable
from vault.slots import Passphrase, RecoveryKey, new_recovery_key


@pytest.mark.parametrize(
    "text, account, when",
    [
        ("alice", "alice", "latest"),
        ("alice@example.org", "alice@example.org", "latest"),
        ("alice@example.org@2026-11-23", "alice@example.org", "2026-11-23"),
        ("alice@example.org@2026-11-23T10:51:44Z", "alice@example.org", "2026-11-23T10:51:44Z"),
        ("alice@example.org@latest", "alice@example.org", "latest"),
        ("alice@20261123T105144Z-1a2b3c4d", "alice", "20261123T105144Z-1a2b3c4d"),
        ("@latest", "@latest", "latest"),
    ],
)
def test_an_account_and_a_time_are_told_apart_at_the_last_at(text: str, account: str, when: str) -> None:
    assert wanted(text) == (account, when)


@given(st.text())
def test_no_header_makes_a_listing_fail_or_moves_the_cursor(raw: str) -> None:
    shown = printable(readable(raw))
    assert "\x1b" not in shown
    assert "\n" not in shown
    header_date(raw)
    internal_date(raw)


def test_encoded_words_are_read() -> None:
    assert readable("=?utf-8?q?Gr=C3=BC=C3=9Fe?= aus\r\n =?iso-8859-1?q?K=F6ln?=") == "Grüße aus Köln"
    assert readable("=?no-such-charset?q?abc?=") == "=?no-such-charset?q?abc?="


def test_times_are_told_in_utc() -> None:
    assert utc(internal_date(" 1-Jul-1996 02:44:25 -0700")) == "1996-07-01T09:44:25Z"
    assert utc(header_date("Mon, 23 Nov 2026 11:00:00 +0100")) == "2026-11-23T10:00:00Z"
    assert utc(header_date("no date at all")) is None


def test_sizes_counts_and_durations_are_told_as_people_read_them() -> None:
    assert [size(n) for n in (0, 1023, 1024, 1536, 5 << 30)] == ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 GiB"]
    assert [count(1, "message"), count(1204, "message")] == ["1 message", "1,204 messages"]
    assert [duration(0.44), duration(200), duration(7300)] == ["0.4 s", "3 min 20 s", "2 h 2 min"]


def test_a_recovery_key_is_known_by_its_shape_however_it_is_typed() -> None:
    key = new_recovery_key()
    assert isinstance(as_secret(key), RecoveryKey)
    assert isinstance(as_secret(key.lower().replace("-", " ")), RecoveryKey)
    assert isinstance(as_secret("six random words are quite enough"), Passphrase)
