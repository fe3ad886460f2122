"""Recognising a message that a server may have altered: counted, so that two equal messages stay two."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

from vault.model import CatalogueEntry

_FIELDS = (b"\nmessage-id:", b"\ndate:", b"\nfrom:", b"\nsubject:")
_BLANK_LINE = re.compile(rb"\n\r*\n")
_AT_ONCE = 1 << 20
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_LONGEST = 998
"""How much of a value a catalogue keeps."""
# A server's mark for an octet it does not like: Cyrus writes X, Dovecot 0x80 for NUL.
_EIGHT_BIT = re.compile(rb"[X\x00\x80-\xff]+")
_OWN_HEADERS = re.compile(
    rb"^(?:status|x-status|x-uid|x-keywords|x-imap|x-imapbase|content-length):.*(?:\n[ \t].*)*\n?",
    re.IGNORECASE | re.MULTILINE,
)


def fingerprint(octets: bytes) -> bytes | None:
    """Return 16 octets made of Message-ID, Date, From and Subject; None for a message without Message-ID.

    `octets` is a message or just its header. What servers do to octets on the way (line ends, X for 8-bit ones) does
    not change it.
    """
    if octets.startswith((b"\n", b"\r\n")):
        return None  # no header at all
    header = b"\n" + octets[: _end_of_header(octets)]
    lower = header.lower()
    return _of([_value(header, lower, field) for field in _FIELDS])


def _end_of_header(octets: bytes) -> int:
    """Return where the line before the first blank line ends; all is header where there is none."""
    # Every message of a restore comes by here: finding is five times as fast as matching.
    crlf = octets.find(b"\n\r\n")
    lf = octets.find(b"\n\n", 0, crlf + 1 if crlf >= 0 else None)
    return next((end for end in (lf, crlf) if end >= 0), len(octets))


def _value(header: bytes, lower: bytes, field: bytes) -> bytes:
    """Return the first field of that name, unfolded; empty where there is none."""
    start = lower.find(field)
    if start < 0:
        return b""
    start += len(field)
    end = header.find(b"\n", start)
    while end >= 0 and header[end + 1 : end + 2] in (b" ", b"\t"):
        end = header.find(b"\n", end + 1)
    value = header[start : end if end >= 0 else None].strip()
    return (_FOLD.sub(b"", value) if b"\n" in value else value)[:_LONGEST]


def entry_fingerprint(entry: CatalogueEntry) -> bytes | None:
    """Return the same from a catalogue's entry, without reading the message; None where only the message can tell."""
    values = (entry.message_id, entry.date, entry.sender, entry.subject)
    # A catalogue looks at the first 64 KiB: what it lacks may stand further down.
    return _of([text.encode() for text in values]) if all(values) else None


def body_fingerprint(octets: bytes) -> bytes:
    """Return 16 octets of a whole message, for those without Message-ID: line ends, last newline and 8 bits aside."""
    blank = _BLANK_LINE.search(octets)
    start = blank.end() if blank else len(octets)
    digest = hashlib.blake2b(digest_size=16)
    head = _plain_text(octets[: blank.start() if blank else start])
    digest.update(_EIGHT_BIT.sub(b"X", _OWN_HEADERS.sub(b"", head + b"\n").rstrip(b"\n")))
    for part in _line_by_line(octets, start, _end_of_text(octets, start)):
        digest.update(b"\n\n" if part is None else _EIGHT_BIT.sub(b"X", _plain_text(part)))
    return digest.digest()


def _plain_text(octets: bytes) -> bytes:
    return octets.replace(b"\r", b"")


def _line_by_line(octets: bytes, start: int, end: int) -> Iterator[bytes | None]:
    """Yield the body a few lines at a time, so that a large message is not in memory twice; None before the first."""
    if start < end:
        yield None
    while start < end:
        line_end = octets.find(b"\n", min(start + _AT_ONCE, end), end) + 1 or end
        yield octets[start:line_end]
        start = line_end


def _end_of_text(octets: bytes, start: int) -> int:
    """Return where the line ends at the end begin."""
    end = len(octets)
    while end > start:
        text = octets[max(start, end - _AT_ONCE) : end].rstrip(b"\r\n")
        if text:
            return max(start, end - _AT_ONCE) + len(text)
        end = max(start, end - _AT_ONCE)
    return end


def identity(octets: bytes) -> bytes:
    """Return what a whole message is recognised by."""
    return fingerprint(octets) or body_fingerprint(octets)


def _of(values: Sequence[bytes]) -> bytes | None:
    if not values[0]:
        return None
    # A catalogue holds text, a server octets: of what is not ASCII, only that it is there can be compared.
    return _hash([_comparable(value) for value in values])


def _comparable(value: bytes) -> bytes:
    text = b" ".join(value.split())
    return text if text.isascii() and b"\0" not in text and b"XX" not in text else _EIGHT_BIT.sub(b"X", text)


def _hash(parts: Sequence[bytes]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()
