"""Catalogues: what browsing needs of each message in a pack, so that nobody reads mail to list it."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import NamedTuple

from vault.columns import ColumnError, ColumnReader, ColumnWriter
from vault.ids import BlobId
from vault.model import CatalogueEntry

# A header may be as long as the message; browsing needs the beginning only.
_HEADER_LIMIT, _VALUE_LIMIT = 64 * 1024, 998
_FIELD = re.compile(
    rb"^(date|from|to|cc|subject|message-id):[ \t]*((?:.*(?:\r?\n[ \t])?)*)", re.IGNORECASE | re.MULTILINE
)
_ORDER = (b"date", b"from", b"to", b"cc", b"subject", b"message-id")
_ATTACHMENT = re.compile(rb"name(?:\*0?\*?)?=[ \t]*(?:\"([^\"\r\n]*)\"|([^\s;\"]+))")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_CATALOGUE = b"C"


class RawEntry(NamedTuple):
    """One message's header values as octets, in the order of `CatalogueEntry`; attachment names joined by NUL."""

    blob: BlobId
    values: tuple[bytes, ...]


def describe(blob: BlobId, literals: Sequence[bytes]) -> RawEntry:
    """Return what a catalogue says of a message, from the literal parts of its recipe."""
    found: dict[bytes, bytes] = {}
    for match in _FIELD.finditer(_header(literals[0]) if literals else b""):
        found.setdefault(match[1].lower(), _FOLD.sub(b"", match[2]).strip()[:_VALUE_LIMIT])
    values = [found.get(name, b"") for name in _ORDER]
    return RawEntry(blob, (*values, b"\0".join(_attachments(literals))))


def _header(octets: bytes) -> bytes:
    """Return what stands before the first empty line, as far as we look."""
    end = octets.find(b"\n\r\n", 0, _HEADER_LIMIT)
    bare = octets.find(b"\n\n", 0, end if end >= 0 else _HEADER_LIMIT)
    return octets[: next((found for found in (bare, end) if found >= 0), _HEADER_LIMIT)]


def _attachments(literals: Iterable[bytes]) -> list[bytes]:
    names: dict[bytes, None] = {}
    for octets in literals:
        if b"name" in octets:
            names.update((m[1] or m[2], None) for m in _ATTACHMENT.finditer(octets) if m[1] or m[2])
    return [name[:_VALUE_LIMIT].replace(b"\0", b"") for name in names][:100]


class Catalogue:
    """A pack's catalogue as it grows: its columns, since a pack of small mails holds a hundred thousand entries."""

    def __init__(self) -> None:
        self._blobs = bytearray()
        self._lengths = [array("q") for _ in range(len(_ORDER) + 1)]
        self._values = [bytearray() for _ in range(len(_ORDER) + 1)]
        self.octets = 0
        """How long it is about to be."""

    def __bool__(self) -> bool:
        return bool(self._blobs)

    def add(self, entry: RawEntry) -> None:
        """Add a message."""
        self._blobs += entry.blob
        for value, lengths, values in zip(entry.values, self._lengths, self._values, strict=True):
            lengths.append(len(value))
            values.extend(value)
            self.octets += lengths.itemsize + len(value)

    def encode(self) -> bytes:
        """Return its octets: its mark, a column of blob ids, then seven string columns."""
        columns = ColumnWriter().octets(_CATALOGUE).octets(self._blobs)
        for lengths, values in zip(self._lengths, self._values, strict=True):
            columns.numbers(lengths).octets(values)
        return columns.done()


def encode_catalogue(entries: Iterable[RawEntry]) -> bytes:
    """Return a catalogue of these messages."""
    catalogue = Catalogue()
    for entry in entries:
        catalogue.add(entry)
    return catalogue.encode()


def decode_catalogue(data: bytes) -> list[CatalogueEntry]:
    """Return the entries of a pack's catalogue, none of a block that is something else; raises ColumnError."""
    columns = ColumnReader(data)
    if columns.octets() != _CATALOGUE:
        return []
    blobs = columns.fixed(16)
    fields = [columns.strings() for _ in range(len(_ORDER) + 1)]
    columns.done()
    if any(len(field) != len(blobs) for field in fields):
        raise ColumnError("a catalogue's columns differ in length")
    return [_entry(BlobId(blob), values) for blob, *values in zip(blobs, *fields, strict=True)]


def _entry(blob: BlobId, values: Sequence[bytes]) -> CatalogueEntry:
    date, sender, to, cc, subject, message_id, attachments = map(_text, values)
    names = tuple(name for name in attachments.split("\0") if name)
    return CatalogueEntry(blob, date, sender, to, cc, subject, message_id, names)


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def readable(value: str) -> str:
    """Return a raw header value with its encoded words decoded (RFC 2047); as it is where they are broken."""
    text = " ".join(value.split())
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, ValueError):
        return text
