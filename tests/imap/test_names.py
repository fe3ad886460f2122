"""Mailbox names both ways (RFC 3501 §5.1.3)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imap.names import decode_name, encode_name, is_faithful, unique_names
from tests.corpus import DOTTED_NAMES, MAILBOX_NAMES

text = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    "raw, name",
    [
        (b"INBOX", "INBOX"),
        (b"Entw&APw-rfe", "Entwürfe"),
        (b"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
        (b"R&-D", "R&D"),
        (b"&2DzfiQ-", "🎉"),
        (b"2024", "2024"),
    ],
)
def test_a_name_that_follows_the_rfc_reads_as_meant(raw: bytes, name: str) -> None:
    assert decode_name(raw) == name
    assert encode_name(name) == raw


@pytest.mark.parametrize(
    "raw, name",
    [
        (b"R&D", "R&D"),
        (b"&&&", "&&&"),
        (b"Caf\xc3\xa9", "Café"),
        (b"Caf\xe9", "Café"),
        (b"&AGE-", "a"),
        (b"&2D0-", "&2D0-"),
        (b"&AOk", "&AOk"),
    ],
)
def test_a_name_that_breaks_the_rfc_stays_readable_and_is_called_unfaithful(raw: bytes, name: str) -> None:
    assert decode_name(raw) == name
    assert not is_faithful(raw)


@given(text)
@example("".join((*MAILBOX_NAMES, *DOTTED_NAMES)))
def test_any_text_survives_the_way_to_octets_and_back(name: str) -> None:
    raw = encode_name(name)
    assert raw.isascii()
    assert decode_name(raw) == name
    assert is_faithful(raw)


@given(st.binary())
def test_any_octets_become_a_text_that_can_be_written_as_utf_8(raw: bytes) -> None:
    name = decode_name(raw)
    assert name.encode().decode() == name
    if is_faithful(raw):
        assert encode_name(name) == raw


@given(
    st.lists(
        st.one_of(st.binary(max_size=4), st.sampled_from([b"R&D", b"R&-D", b"\xe9", b"&AOk-", b"&AOk"])), unique=True
    )
)
def test_no_two_mailboxes_of_an_account_are_shown_under_one_name(raws: list[bytes]) -> None:
    assert len(set(unique_names(raws))) == len(raws)
