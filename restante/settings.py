"""How a setting is declared: its words, an example and its bounds stand beside its type, for whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import NoneType
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from msgspec import Meta, Struct
from msgspec.structs import FieldInfo, fields


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the configuration: unknown settings are faults, not ignored."""


class NotAllowed(ValueError):
    """A value that a setting can't have; the hint says what to write instead."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def read_by(read: Callable[[str], Any], pattern: str | None = None) -> Meta:
    """Mark a type whose values are text in the file: `read` returns what a text means, or raises NotAllowed."""
    return Meta(extra={"read": read}, extra_json_schema={"pattern": pattern} if pattern else None)


def setting(description: str, example: Any = None, *, live: bool = False, min_length: int | None = None) -> Meta:
    """Describe a setting. The sample file sets a `live` one, though it is optional; others it shows in a comment."""
    examples = None if example is None else [example]
    return Meta(description=description, examples=examples, min_length=min_length, extra={"live": live})


class Setting(NamedTuple):
    """One setting, as it is declared; where that is a list, `kind`, `section` and `read` are for each in it."""

    name: str
    """What it is called in the file (`from` can be no name in Python)."""
    attribute: str
    required: bool
    default: Any
    words: Any
    optional: bool
    items: Any
    """What its list has to be, or None where it is none."""
    kind: Any
    section: type[Section] | None
    read: Callable[[str], Any] | None


@cache
def settings_of(section: type[Section]) -> dict[str, Setting]:
    """Return a section's settings by what they are called in the file."""
    return {field.encode_name: _setting(field) for field in fields(section)}


def _setting(field: FieldInfo) -> Setting:
    """Read a declaration: a plain value or a section, which may be null, or a list of either."""
    declared, *_, words = get_args(field.type)
    optional, listed = NoneType in get_args(declared), get_origin(declared) is tuple
    one = get_args(declared)[0] if optional or listed else field.type
    bare, *marks = get_args(one) if get_origin(one) is Annotated else [one]
    section = bare if isinstance(bare, type) and issubclass(bare, Section) else None
    read = next((mark.extra["read"] for mark in marks if "read" in (mark.extra or {})), None)
    items = Annotated[list[Any], words] if listed else None
    kind = bare if read or get_origin(bare) is Literal else one
    return Setting(
        field.encode_name, field.name, field.required, field.default, words, optional, items, kind, section, read
    )
