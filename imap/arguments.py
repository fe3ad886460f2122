"""Arguments of commands as the wire takes them (RFC 9051 §4.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_QUOTABLE = re.compile(rb"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class Octets:
    """An argument of a command that goes out as a literal: these octets and no others."""

    value: bytes = field(repr=False)


Part = bytes | Octets


def astring(value: bytes) -> Part:
    """Return a string argument: quoted where that can say it, else a literal (RFC 9051 §4.3)."""
    return quoted(value) or Octets(value)


def quoted(value: bytes) -> bytes | None:
    """Return a quoted string, None where only a literal can say it."""
    if len(value) < 1000 and _QUOTABLE.fullmatch(value):
        return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return None
