"""What is written comes back the same: columns, recipes, dates, tables, catalogues."""

from __future__ import annotations

import contextlib
import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus import MESSAGES, base64_lines, mail_with, octets, plain_mail
from vault.catalogue import decode_catalogue, describe, encode_catalogue
from vault.columns import ColumnError, ColumnReader, ColumnWriter, deltas, undeltas
from vault.ids import BlobId
from vault.internaldate import epoch_of, format_internaldate, parse_internaldate
from vault.model import Flags, MessageRow
from vault.recipe import PIECE, PLAIN, Stored, encode_recipe, rebuild, split
from vault.table import FlagCodec, RowCodec, flag_table, message_table, trailing_zeros

numbers = st.lists(st.integers(-(2**63), 2**63 - 1))


@given(numbers, st.lists(st.binary()), st.binary())
def test_columns_come_back(values: list[int], strings: list[bytes], data: bytes) -> None:
    columns = ColumnReader(ColumnWriter().numbers(values).strings(strings).octets(data).done())
    assert (columns.numbers(), columns.strings(), columns.octets()) == (values, strings, data)
    columns.done()


@given(st.lists(st.integers(-(2**40), 2**40)))
def test_deltas_come_back(values: list[int]) -> None:
    assert undeltas(deltas(values)) == values


@given(st.binary(max_size=200))
def test_columns_that_are_none_are_refused_and_never_crash(data: bytes) -> None:
    for read in (ColumnReader.octets, ColumnReader.numbers, ColumnReader.strings):
        with contextlib.suppress(ColumnError):
            read(ColumnReader(data))


def through_a_recipe(message: bytes) -> dict[bytes, bytes]:
    """Split and rebuild a message; return its pieces."""
    pieces: dict[bytes, bytes] = {}
    parts = []
    for part in split(message):
        if isinstance(part, bytes):
            parts.append(Stored(part, None, 0, b""))
        else:
            key = hashlib.md5(part.content, usedforsecurity=False).digest()
            pieces[key] = part.content
            parts.append(Stored(b"", BlobId(key), part.width, part.eol))
    assert rebuild(encode_recipe(parts), pieces.__getitem__) == message
    assert all(len(piece) <= PIECE for piece in pieces.values())
    return pieces


@pytest.mark.parametrize("name", MESSAGES)
def test_a_hard_mail_comes_back_from_its_recipe(name: str) -> None:
    through_a_recipe(MESSAGES[name])


@given(st.data())
def test_any_mixture_of_base64_and_stray_octets_comes_back(data: st.DataObject) -> None:
    width = data.draw(st.sampled_from([4, 60, 64, 72, 76, 77, 80, 996]))
    end = data.draw(st.sampled_from([b"\r\n", b"\n"]))
    text = bytearray(base64_lines(octets(data.draw(st.integers(0, 9000))), width=width, end=end))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(text)))
        text[at : at + data.draw(st.integers(0, 2))] = data.draw(st.sampled_from([b"", b"\r", b"\n", b"=", b"-", b"A"]))
    head = b"Content-Transfer-Encoding: base64" + end + end
    through_a_recipe(b"From: a" + end + head + bytes(text) + data.draw(st.binary(max_size=20)) + head + bytes(text))


def test_a_bit_behind_the_padding_is_kept() -> None:
    text = base64_lines(octets(2002))
    assert text.rstrip().endswith(b"==")
    odd = text.rstrip()[:-3]
    through_a_recipe(b"x: base64\r\n\r\n" + odd + bytes([odd[-1] + 1]) + b"==\r\n")


def test_an_attachment_is_one_piece_whoever_sends_it_and_however_it_is_wrapped() -> None:
    content = octets(30_000)
    wrapped = {
        tuple(through_a_recipe(mail_with(base64_lines(content, width=width, end=end), number=n, end=end)))
        for n, (width, end) in enumerate([(76, b"\r\n"), (76, b"\n"), (64, b"\r\n"), (72, b"\n")])
    }
    assert len(wrapped) == 1


def test_a_long_message_is_cut_into_pieces() -> None:
    assert len(through_a_recipe(mail_with(base64_lines(octets(20 << 20))))) == 6
    assert len(through_a_recipe(plain_mail(1, body=b"long " * (4 << 20)))) == 6


def test_a_message_with_thousands_of_marks_takes_no_time() -> None:
    through_a_recipe(b"Content-Transfer-Encoding: base64\r\n\r\n" * 20_000)


@given(st.integers(-(2**31), 2**33), st.integers(-14 * 60, 14 * 60))
def test_dates_come_back(epoch: int, zone: int) -> None:
    assert parse_internaldate(format_internaldate(epoch, zone)) == (epoch, zone)


def test_a_date_that_numbers_do_not_give_back_is_kept_as_text() -> None:
    assert parse_internaldate(" 1-Jan-2040 00:00:00 +0000") is None
    assert parse_internaldate("31-Feb-2020 00:00:00 +0000") is None
    assert parse_internaldate("01-Jan-2020 00:00:00 -0000") is None
    assert epoch_of(" 1-Jan-1970 00:00:01 +0000") == 1
    rows = [row(1, " 1-Jan-2040 00:00:00 +0530"), row(2), row(3, "nonsense"), row(4, "")]
    assert RowCodec().decode(RowCodec().encode(rows)) == rows


def row(uid: int, date: str = "17-Jul-1996 02:44:25 -0700") -> MessageRow:
    blob = BlobId(hashlib.md5(str(uid).encode(), usedforsecurity=False).digest())
    return MessageRow(uid, blob, uid % 5000, date, b"12345678" if uid % 3 else b"")


def test_flags_of_any_letters_come_back() -> None:
    rows: list[tuple[int, Flags]] = [(1, ("\\Seen",)), (2, ()), (3, ("$Forwarded", "ÿ", "\\Seen")), (9, ("\\Seen",))]
    assert FlagCodec().decode(FlagCodec().encode(rows)) == rows


class Pages(dict[BlobId, bytes]):
    """Pages by a hash of their octets."""

    def put(self, data: bytes) -> BlobId:
        key = BlobId(hashlib.blake2b(data, digest_size=16).digest())
        self[key] = data
        return key


@given(st.randoms(use_true_random=False), st.integers(1, 8))
def test_equal_tables_have_equal_roots_however_they_came_about(chance: random.Random, steps: int) -> None:
    pages, held = Pages(), dict[int, MessageRow]()
    root = None
    for _ in range(steps):
        table = message_table(pages.__getitem__, root)
        added = chance.sample(range(1, 4000), chance.choice([1, 3, 700]))
        removed = {uid for uid in held if chance.random() < chance.choice([0, 0.01, 0.6])}
        dropped = table.update([row(uid) for uid in added], removed - set(added), pages.put)
        assert {r.uid for r in dropped} == (held.keys() & set(added)) | (removed - set(added))
        held = {uid: r for uid, r in held.items() if uid not in removed} | {uid: row(uid) for uid in added}
        root = table.write_root(pages.put)
        afresh = message_table(pages.__getitem__, None)
        afresh.update(held.values(), (), pages.put)
        assert afresh.write_root(pages.put) == root
        assert list(message_table(pages.__getitem__, root).rows()) == [held[uid] for uid in sorted(held)]


def test_one_new_message_among_100_000_rewrites_one_leaf_and_its_path() -> None:
    pages = Pages()
    table = message_table(pages.__getitem__, None)
    table.update([row(uid) for uid in range(1, 100_001)], (), pages.put)
    table.write_root(pages.put)
    before = set(pages)
    table.update([row(100_001)], (), pages.put)
    table.write_root(pages.put)
    new = [pages[key] for key in pages.keys() - before]
    assert len(new) <= 4
    flags = flag_table(pages.__getitem__, None)
    flags.update([(uid, ("\\Seen",)) for uid in range(1, 100_001)], (), pages.put)
    flags.write_root(pages.put)
    before = set(pages)
    flags.update([(50_000, ())], (), pages.put)
    flags.write_root(pages.put)
    assert len(pages.keys() - before) <= 4


def test_a_removed_page_end_joins_the_page_with_the_next() -> None:
    pages = Pages()
    ends = [uid for uid in range(1, 5000) if trailing_zeros(uid) >= 9]
    table = message_table(pages.__getitem__, None)
    table.update([row(uid) for uid in range(1, 5000)], (), pages.put)
    count = len(table.leaves)
    table.update((), {ends[2]}, pages.put)
    assert len(table.leaves) == count - 1


def test_a_catalogue_comes_back_with_folded_doubled_and_broken_headers() -> None:
    mail = (
        b"Subject: one\r\n two\r\nFROM: a@b.invalid\r\nSubject: another\r\nTo: \xe9\r\nMessage-ID:\r\n <x@y>\r\n\r\n"
        b'name="a b.pdf"; filename=c.txt\r\n'
    )
    (entry,) = decode_catalogue(encode_catalogue([describe(BlobId(bytes(16)), [mail])]))
    assert (entry.subject, entry.sender, entry.to, entry.message_id) == ("one two", "a@b.invalid", "é", "<x@y>")
    assert entry.attachments == ("a b.pdf", "c.txt")


def test_a_plain_form_is_its_content() -> None:
    assert rebuild(PLAIN + b"x", bytes) == b"x"
    with pytest.raises(ColumnError):
        rebuild(b"\7x", bytes)
