"""Recognising a message that a server may have altered: counted, so that two equal messages stay two."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from vault.catalogue import describe
from vault.ids import BlobId
from vault.model import CatalogueEntry

_BLANK = re.compile(rb"\s+")
_EIGHT_BIT = re.compile(rb"[X\x80-\xff]+")
_OWN_HEADERS = re.compile(
    rb"^(?:status|x-status|x-uid|x-keywords|content-length):.*(?:\n[ \t].*)*\n?", re.IGNORECASE | re.MULTILINE
)


def fingerprint(octets: bytes) -> bytes | None:
    """Return 16 octets made of Message-ID, Date, From and Subject; None for a message without Message-ID.

    `octets` is a message or just its header. What servers do to octets on the way (line ends, X for 8-bit ones) does
    not change it.
    """
    date, sender, _, _, subject, message_id, _ = describe(BlobId(b""), [octets]).values
    return _of(message_id, date, sender, subject)


def entry_fingerprint(entry: CatalogueEntry) -> bytes | None:
    """Return the same from a catalogue's entry, without reading the message."""
    return _of(*(text.encode() for text in (entry.message_id, entry.date, entry.sender, entry.subject)))


def body_fingerprint(octets: bytes) -> bytes:
    """Return 16 octets of a whole message, for those without Message-ID: line ends, last newline and 8 bits aside."""
    text = octets.replace(b"\r\n", b"\n").replace(b"\r", b"").rstrip(b"\n \t")
    head, blank, body = text.partition(b"\n\n")
    head = _OWN_HEADERS.sub(b"", head + b"\n").rstrip(b"\n")
    return _hash([_EIGHT_BIT.sub(b"X", part) for part in (head, blank, body)])


def identity(octets: bytes) -> bytes:
    """Return what a whole message is recognised by."""
    return fingerprint(octets) or body_fingerprint(octets)


def _of(message_id: bytes, date: bytes, sender: bytes, subject: bytes) -> bytes | None:
    if not message_id:
        return None
    fields = (message_id, date, sender, subject)
    # A catalogue holds text, a server octets: of what is not ASCII, only that it is there can be compared.
    return _hash([_EIGHT_BIT.sub(b"X", _BLANK.sub(b" ", field).strip()) for field in fields])


def _hash(parts: Sequence[bytes]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()
