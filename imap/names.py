"""Mailbox names: octets on the wire, text for people (RFC 3501 §5.1.3, RFC 6855)."""

from __future__ import annotations

import base64
import binascii
import re
from itertools import compress

_SHIFTED = re.compile(rb"&([^-]*)-")
_PLAIN = re.compile(r"[ -~]+")


def decode_name(raw: bytes) -> str:
    """Return a mailbox name as text: modified UTF-7, else UTF-8, else each octet as one Latin-1 character.

    Never fails. What does not follow the RFC keeps all its characters, `R&D` stays `R&D`; whether the text leads back
    to the same octets says `is_faithful`, and whoever needs the octets keeps them beside the text.
    """
    if raw.isascii():
        text = _from_utf7(raw)
        return raw.decode("latin-1") if text is None else text
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def encode_name(name: str) -> bytes:
    """Return a name's octets in modified UTF-7, in the one form the RFC allows."""
    if "&" not in name and _PLAIN.fullmatch(name):
        return name.encode("ascii")
    pieces: list[bytes] = []
    position = 0
    for match in _PLAIN.finditer(name):
        pieces.append(_shift(name[position : match.start()]))
        pieces.append(match[0].encode("ascii").replace(b"&", b"&-"))
        position = match.end()
    pieces.append(_shift(name[position:]))
    return b"".join(pieces)


def is_faithful(raw: bytes) -> bool:
    """Whether `encode_name(decode_name(raw))` gives the same octets, as it does for each name that follows the RFC."""
    return encode_name(decode_name(raw)) == raw


def unique_names(raws: list[bytes]) -> list[str]:
    """Return a text for each of an account's names such that no two texts are equal.

    Two names can read the same only where a server breaks the RFC (`R&-D` beside `R&D`); the one that breaks it then
    carries its octets in hexadecimal.
    """
    decoded = [decode_name(raw) for raw in raws]
    faithful = [encode_name(name) == raw for name, raw in zip(decoded, raws, strict=True)]
    taken = set(compress(decoded, faithful))
    names: list[str] = []
    for name, raw, follows in zip(decoded, raws, faithful, strict=True):
        shown = name if follows or name not in taken else f"{name} ({raw.hex()})"
        taken.add(shown)
        names.append(shown)
    return names


def _shift(text: str) -> bytes:
    if not text:
        return b""
    coded = base64.b64encode(text.encode("utf-16-be", "surrogatepass"))
    return b"&" + coded.rstrip(b"=").replace(b"/", b",") + b"-"


def _from_utf7(raw: bytes) -> str | None:
    """Decode modified UTF-7; None where it is malformed."""
    if b"&" not in raw:
        return raw.decode("ascii")
    pieces: list[str] = []
    position = 0
    for match in _SHIFTED.finditer(raw):
        pieces.append(raw[position : match.start()].decode("ascii"))
        text = _unshift(match[1])
        if text is None:
            return None
        pieces.append(text)
        position = match.end()
    tail = raw[position:]
    if b"&" in tail:
        return None
    return "".join(pieces) + tail.decode("ascii")


def _unshift(coded: bytes) -> str | None:
    if not coded:
        return "&"
    standard = coded.replace(b",", b"/")
    try:
        octets = base64.b64decode(standard + b"=" * (-len(standard) % 4), validate=True)
        return octets.decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        return None
