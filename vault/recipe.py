"""Recipes: a message as literal octets and decoded base64 runs, so that an attachment is stored once.

Runs are found in the raw octets, without a MIME parser, and taken only where encoding them again gives the identical
octets (docs/vault-format.md §5). Long literals and attachments are cut into pieces, so no blob grows without bound.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import NamedTuple

import pybase64

from vault.columns import ColumnError, ColumnReader, ColumnWriter
from vault.ids import BlobId

MIN_RUN = 1024
PIECE = 4 << 20
INLINE = 1 << 20
_INLINE_TOTAL = 4 << 20
_MAX_PARTS = 100_000
_HEADER_REST = 4096
# The id tells only when all is made; a forged recipe must not fill the memory before that.
MAX_CONTENT = 1 << 30
_FIRST_LINES, _LINES_AT_ONCE = 16, 1024
_WIDTHS, _LINE_ENDS = {-1, *range(0, 1024, 4)}, {b"\n", b"\r\n"}

PLAIN, RECIPE = b"\0", b"\1"


class Run(NamedTuple):
    """Base64 text at `start:end`: lines of `width` characters, ended by `eol`."""

    start: int
    end: int
    width: int
    eol: bytes


class Part(NamedTuple):
    """A piece stored as a blob of its own: its content, and how it reads in the message (`width` 0: as it is)."""

    content: bytes
    width: int
    eol: bytes


class Stored(NamedTuple):
    """One part of a recipe as it lies at rest: inline octets, or a blob with its line width and line end."""

    inline: bytes
    blob: BlobId | None
    width: int
    eol: bytes


def encode_run(content: bytes | memoryview, width: int, eol: bytes) -> Iterator[bytes | memoryview]:
    """Yield content as base64 lines of one width, each ended by `eol`, some at a time; as it is for width 0."""
    if not width:
        yield content
        return
    # Small results need no fresh pages of memory.
    step = width // 4 * 3 * _LINES_AT_ONCE
    for at in range(0, len(content), step):
        lines = pybase64.b64encode(content[at : at + step], wrapcol=width)
        yield lines if eol == b"\n" else lines.replace(b"\n", eol)
        yield eol


def find_runs(message: bytes) -> Iterator[Run]:
    """Yield the base64 runs that follow a `Content-Transfer-Encoding: base64`, in order."""
    at = barren = 0
    lower = message.find(b"ase64")
    # What lies within a run is never searched, and what holds no mark only once.
    while (mark := _either(message.find(b"ASE64", at, lower if lower >= 0 else len(message)), lower)) >= 0:
        at = mark + len(b"ase64")
        body, eol = _after_blank_line(message, max(mark, barren), mark + _HEADER_REST)
        # A mail full of marks must not be searched anew from each.
        barren = mark + _HEADER_REST - 3 if body < 0 else body - 2 * len(eol)
        end, width = _measure(message, body, eol) if body >= 0 else (body, 0)
        if end - body >= MIN_RUN:
            yield Run(body, end, width, eol)
            at = end
        if 0 <= lower < at:
            lower = message.find(b"ase64", at)


def _either(first: int, second: int) -> int:
    return first if first >= 0 else second


def _after_blank_line(message: bytes, start: int, end: int) -> tuple[int, bytes]:
    """Return where the part's body starts, and its line end; -1 where its header goes on too long to be one."""
    lf = message.find(b"\n\n", start, end)
    crlf = message.find(b"\r\n\r\n", start, end if lf < 0 else lf + 3)
    if crlf >= 0:
        return crlf + 4, b"\r\n"
    return (lf + 2, b"\n") if lf >= 0 else (-1, b"")


def _measure(message: bytes, start: int, eol: bytes) -> tuple[int, int]:
    """Return where lines of the first line's width end, and that width; a shorter last line belongs to the run."""
    first = message.find(eol, start, start + 1024)
    width = first - start
    if width < 4 or width % 4:
        return start, 0
    step = width + len(eol)
    stop = start + _full_lines(message, start, width, eol) * step
    last = message.find(eol, stop, stop + step)
    if stop <= last <= stop + width and (last - stop) % 4 == 0 and last > stop:
        stop = last + len(eol)
    return stop, width


def _full_lines(message: bytes, start: int, width: int, eol: bytes) -> int:
    """Count the lines of exactly `width` octets, looking twice as far each time, so that a short run costs little."""
    step = width + len(eol)
    there, count, window = (len(message) - start) // step, 0, _FIRST_LINES
    while count < there:
        lines = _even_lines(message, start + count * step, min(window, there - count), width, eol)
        count += lines
        if lines < window:
            break
        window *= 2
    return count


def _even_lines(message: bytes, start: int, most: int, width: int, eol: bytes) -> int:
    """Count the lines of exactly `width` octets, by looking at every separator position with a stride."""
    step = width + len(eol)
    for offset, octet in enumerate(eol):
        column = message[start + width + offset : start + most * step : step]
        most = min(most, len(column) - len(column.lstrip(bytes((octet,)))))
    return most


def _decode(message: bytes, run: Run) -> bytes | None:
    """Return a run's content, or None where encoding it again would give other octets."""
    text = memoryview(message)[run.start : run.end]
    try:
        content = pybase64.b64decode(text, validate=True, ignorechars=run.eol, canonical=True)
    except (binascii.Error, ValueError):
        return None
    # Every line end is where it should be, as was measured; a stray CR or LF within a line makes the content shorter.
    lines = -(-len(text) // (run.width + len(run.eol)))
    return content if _encoded_size(len(content)) + lines * len(run.eol) == len(text) else None


def _encoded_size(octets: int) -> int:
    """Return how many characters of base64 that many octets make, without line ends."""
    return -(-octets // 3) * 4


def split(message: bytes) -> Iterator[bytes | Part]:
    """Yield a message's parts in order: short literals as octets, what is stored on its own as Part."""
    at, inline, parts = 0, 0, 0
    for piece in (piece for run in find_runs(message) for piece in _pieces(run)):
        content = None if parts > _MAX_PARTS else _decode(message, piece)
        if content is None:
            continue
        for literal in _literal(message, at, piece.start, inline):
            inline += len(literal) if isinstance(literal, bytes) else 0
            yield literal
        parts += 2
        yield Part(content, piece.width, piece.eol)
        at = piece.end
    yield from _literal(message, at, len(message), inline)


def _literal(message: bytes, start: int, end: int, inline: int) -> Iterator[bytes | Part]:
    if end - start <= INLINE and inline + end - start <= _INLINE_TOTAL:
        if end > start:
            yield message[start:end]
        return
    for at in range(start, end, PIECE):
        yield Part(message[at : min(at + PIECE, end)], 0, b"")


def _pieces(run: Run) -> Iterator[Run]:
    """Cut a run between lines into what makes at most a piece each: a long one is never in memory whole."""
    step = (run.width + len(run.eol)) * (PIECE // (run.width // 4 * 3))
    for start in range(run.start, run.end, step):
        yield run._replace(start=start, end=min(start + step, run.end))


def encode_recipe(parts: list[Stored]) -> bytes:
    """Return a recipe's stored form."""
    columns = ColumnWriter().strings([p.inline for p in parts])
    columns.octets(b"".join(p.blob or bytes(16) for p in parts))
    columns.numbers([p.width if p.blob else -1 for p in parts]).strings([p.eol for p in parts])
    return RECIPE + columns.done()


def decode_recipe(stored: bytes) -> list[Stored]:
    """Return the parts of a recipe's stored form; raises ColumnError."""
    columns = ColumnReader(stored[1:])
    inline, blobs, widths, eols = columns.strings(), columns.fixed(16), columns.numbers(), columns.strings()
    columns.done()
    if not len(inline) == len(blobs) == len(widths) == len(eols):
        raise ColumnError("a recipe's columns differ in length")
    if not all(width in _WIDTHS and (width <= 0 or eol in _LINE_ENDS) for width, eol in zip(widths, eols, strict=True)):
        raise ColumnError("a recipe asks for lines that no mail has")
    return [
        Stored(text, None if width < 0 else BlobId(blob), max(width, 0), eol)
        for text, blob, width, eol in zip(inline, blobs, widths, eols, strict=True)
    ]


def rebuild(stored: bytes | memoryview, read: Callable[[BlobId], bytes | memoryview]) -> bytes:
    """Return the content of a stored form; `read` gives the content of each blob it names. Raises ColumnError."""
    if stored[:1] == PLAIN:
        return bytes(stored[1:])
    if stored[:1] != RECIPE:
        raise ColumnError("neither plain nor a recipe")
    whole = BytesIO()  # hands its octets out without another copy, which a bytearray does not
    for part in decode_recipe(bytes(stored)):
        if part.blob is None:
            whole.write(part.inline)
        else:
            whole.writelines(encode_run(read(part.blob), part.width, part.eol))
        if whole.tell() > MAX_CONTENT:
            raise ColumnError("a recipe makes more than any message holds")
    return whole.getvalue()
