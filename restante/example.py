"""The sample configuration, written from the declaration so that the two can't disagree."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from restante.config import Config
from restante.settings import Section, Setting, settings_of
from restante.validation import inline

WIDTH = 110


def example_config() -> str:
    """Return the text of config.example.yaml."""
    head = [
        *_comment(_sentence(Config), ""),
        "# What is commented out shows an example; the rest is a working start.",
        "",
    ]
    return "\n".join([*head, *_section(Config, "")]).rstrip() + "\n"


def _sentence(section: type[Section]) -> str:
    return " ".join((section.__doc__ or "").split())


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _section(section: type[Section], indent: str) -> Iterator[str]:
    for setting in settings_of(section).values():
        yield from _setting(setting, indent)
        if section is Config:
            yield ""


def _setting(setting: Setting, indent: str) -> Iterator[str]:
    mark = indent if setting.required or setting.words.extra["live"] else f"{indent}# "
    yield from _comment(setting.words.description + _default(setting), indent)
    inner, examples = setting.section, setting.words.examples
    if inner is None:
        yield f"{mark}{setting.name}: {inline(examples[0]) if examples else ''}"
        return
    yield f"{mark}{setting.name}:"
    if setting.items is not None:
        lines = list(_section(inner, ""))
        first = next(number for number, line in enumerate(lines) if not line.startswith("#"))
        for number, line in enumerate(lines):
            yield f"{mark}  {'- ' if number == first else '  '}{line}"
    else:
        yield from (f"{mark}  {line}" for line in _section(inner, ""))


def _default(setting: Setting) -> str:
    if setting.required or setting.default in (None, ()) or isinstance(setting.default, Section):
        return ""
    return f" Default: {inline(setting.default)}."
