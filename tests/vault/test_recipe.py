"""Recipes: what is taken out of a mail goes back in, octet for octet, and costs no more than it should."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus import base64_lines, mail_with, octets
from vault.columns import ColumnError
from vault.ids import BlobId
from vault.recipe import PLAIN, RECIPE, Stored, encode_recipe, find_runs, rebuild, split

MARK = b"Content-Transfer-Encoding: base64"
STRAY = st.sampled_from([b"", b"\r", b"\n", b"\r\n", b"\r\r\n", b"=", b"==", b" ", b"!", b"QUJD", b"\0", b"\xff"])


@st.composite
def encoded(draw: st.DrawFn, end: bytes) -> bytes:
    """Base64 lines of many widths, mostly long enough to be taken out, with up to three accidents."""
    size = draw(st.sampled_from([1_500, 4_000, 799, 30]))
    width = draw(st.one_of(st.sampled_from([76, 4, 60, 80, 996, 1_020, 1_024, 1_028]), st.integers(1, 100)))
    text = base64_lines(octets(size, size), width=width, end=end)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(STRAY) + text[at + draw(st.integers(0, 4)) :]
    return text


@st.composite
def marked(draw: st.DrawFn) -> bytes:
    """A part that says it is base64, and perhaps is; line ends mostly of one kind."""
    end, other = draw(st.sampled_from([(b"\r\n", b"\n"), (b"\n", b"\r\n"), (b"\r\n", b"\r")]))
    return MARK + end * 2 + draw(encoded(end if draw(st.integers(0, 4)) else other))


@st.composite
def wild_mail(draw: st.DrawFn) -> bytes:
    """Parts, marks, blank lines of either kind and octets of any kind, in any order."""
    scraps = [MARK, b"base64", b"BASE64", b"x: y", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r", b"x" * 4_090]
    piece = st.one_of(marked(), marked(), st.sampled_from(scraps), st.binary(max_size=40))
    return b"".join(draw(st.lists(piece, max_size=6)))


def taken_apart(message: bytes) -> tuple[bytes, dict[BlobId, bytes]]:
    """Return a message's stored form, and its pieces by name."""
    pieces: dict[BlobId, bytes] = {}
    parts = []
    for part in split(message):
        if isinstance(part, bytes):
            parts.append(Stored(part, None, 0, b""))
        else:
            name = BlobId(hashlib.sha256(part.content).digest()[:16])
            pieces[name] = part.content
            parts.append(Stored(b"", name, part.width, part.eol))
    return encode_recipe(parts), pieces


@given(wild_mail())
def test_any_mail_comes_back(mail: bytes) -> None:
    stored, pieces = taken_apart(mail)
    assert rebuild(stored, pieces.__getitem__) == mail


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("width", [4, 60, 64, 72, 76, 996])
def test_an_attachment_of_regular_lines_is_taken_out(width: int, end: bytes) -> None:
    content = octets(5_000, width)
    mail = mail_with(base64_lines(content, width=width, end=end), end=end)
    stored, pieces = taken_apart(mail)
    assert list(pieces.values()) == [content]
    assert rebuild(stored, pieces.__getitem__) == mail


@pytest.mark.parametrize("stray", [b"\r\r\r\r", b"\n\n\n\n", b"\r\n\r\n"])
def test_line_ends_within_a_line_are_kept_where_they_stand(stray: bytes) -> None:
    text = base64_lines(octets(3_000))
    mail = mail_with(text[:1_180] + stray + text[1_184:])
    stored, pieces = taken_apart(mail)
    assert rebuild(stored, pieces.__getitem__) == mail


def test_bits_behind_the_last_octet_are_kept() -> None:
    text = base64_lines(octets(2_002))
    mail = mail_with(text.replace(text[-5:], b"B==\r\n"), text)
    stored, pieces = taken_apart(mail)
    assert rebuild(stored, pieces.__getitem__) == mail
    assert text[-5:] != b"B==\r\n"


def test_equal_attachments_of_different_mails_are_one_piece() -> None:
    content = octets(40_000)
    mails = [mail_with(base64_lines(content, width=width), number=width) for width in (60, 76)]
    assert len({name for mail in mails for name in taken_apart(mail)[1]}) == 1


def test_a_short_run_stays_where_it_is() -> None:
    assert not taken_apart(mail_with(base64_lines(octets(700))))[1]
    assert taken_apart(mail_with(base64_lines(octets(800))))[1]


@pytest.mark.parametrize(
    "unit",
    [b"base64\n\nAAAA\n", b"base64\r\n\r\nAAAA\r\n", b"base64", b"base64\n\n", b"base64\n\n" + b"A" * 76 + b"\n"],
    ids=["lines of 4", "lines of 4, CRLF", "marks alone", "marks and blank lines", "single lines"],
)
def test_a_hostile_mail_is_looked_at_once_and_not_once_for_each_mark(unit: bytes) -> None:
    """Twice the mail is twice the looks; a search to the end from each mark would take minutes and run out of time."""
    mail = unit * ((8 << 20) // len(unit))
    assert not list(find_runs(mail))


@pytest.mark.parametrize("stored", [b"", b"\2abc", RECIPE + b"\1", RECIPE + encode_recipe([])[1:] + b"x"])
def test_what_is_neither_content_nor_a_recipe_is_refused(stored: bytes) -> None:
    with pytest.raises(ColumnError):
        rebuild(stored, dict[BlobId, bytes]().__getitem__)


def test_content_that_looks_like_a_recipe_is_content() -> None:
    assert rebuild(PLAIN + encode_recipe([]), dict[BlobId, bytes]().__getitem__) == encode_recipe([])
