"""The sample configuration, written from the declaration so that the two can't disagree."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from restante.config import Config, live
from restante.loading import inline, section_of, settings_of

WIDTH = 110


def example_config() -> str:
    """Return the text of config.example.yaml."""
    head = [
        *_comment(_sentence(Config), ""),
        "# What is commented out shows an example; the rest is a working start.",
        "",
    ]
    return "\n".join([*head, *_section(Config, "")]).rstrip() + "\n"


def _sentence(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _section(model: type[BaseModel], indent: str) -> Iterator[str]:
    for name, field in settings_of(model).items():
        yield from _setting(name, field, indent)
        if model is Config:
            yield ""


def _setting(name: str, field: FieldInfo, indent: str) -> Iterator[str]:
    on = field.is_required() or field.json_schema_extra is live
    mark = indent if on else f"{indent}# "
    yield from _comment((field.description or "") + _default(field), indent)
    inner = section_of(field)
    if inner is None:
        yield f"{mark}{name}: {inline(field.examples[0]) if field.examples else ''}"
        return
    yield f"{mark}{name}:"
    if get_origin(field.annotation) is list:
        lines = list(_section(inner, ""))
        first = next(number for number, line in enumerate(lines) if not line.startswith("#"))
        for number, line in enumerate(lines):
            yield f"{mark}  {'- ' if number == first else '  '}{line}"
    else:
        yield from (f"{mark}  {line}" for line in _section(inner, ""))


def _default(field: FieldInfo) -> str:
    if field.is_required() or field.default is None or field.default == [] or isinstance(field.default, BaseModel):
        return ""
    return f" Default: {inline(field.default)}."
