"""From parsed YAML to a section of the configuration, with all that is wrong with it: each with its path and a hint."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import msgspec
import yaml

from restante.contradictions import Loc
from restante.settings import NotAllowed, Section, Setting, settings_of

SECRET_WORDS = ("password", "passphrase", "secret", "token", "key")
START = "see `restante config example` for a configuration to start from"
WORDS = {
    "int": "a whole number", "float": "a decimal number", "str": "text", "bool": "true or false", "array": "a list",
    "object": "settings", "bytes": "octets", "null": "nothing",
}  # fmt: skip
"""What is called here what msgspec's messages name otherwise."""

S = TypeVar("S", bound=Section)


class Wrong(NamedTuple):
    """One thing that is wrong with a setting; the message names it."""

    path: Loc
    message: str
    hint: str


def read_section(
    section: type[S], raw: Any, wrong: list[Wrong], path: Loc = (), holder: Setting | None = None
) -> S | None:
    """Return a section as it is declared; where it can't be read, add to `wrong` all that is, and return None."""
    if not isinstance(raw, dict):
        hint = START if holder is None else _how_to_set(holder)
        wrong.append(Wrong(path, f"{dotted(path) or 'the file'}: should hold settings", hint))
        return None
    known, before, values = settings_of(section), len(wrong), {}
    for name, setting in known.items():
        if setting.required and name not in raw:
            wrong.append(Wrong((*path, name), f"{dotted((*path, name))} is missing", _how_to_set(setting)))
    for name, value in raw.items():
        where = (*path, name)
        if name in known:
            values[known[name].attribute] = _read(known[name], value, wrong, where)
        else:
            wrong.append(Wrong(where, f"{dotted(where)} is not a setting", _nearest(str(name), list(known))))
    return section(**values) if len(wrong) == before else None


def _read(setting: Setting, raw: Any, wrong: list[Wrong], path: Loc) -> Any:
    try:
        if raw is None and setting.optional:
            return None
        if setting.items is not None:
            one, items = setting._replace(items=None), _convert(raw, setting.items)
            return tuple(_read(one, item, wrong, (*path, number)) for number, item in enumerate(items))
        if setting.section is not None:
            return read_section(setting.section, raw, wrong, path, setting)
        if setting.read is not None:
            # Only what is kept as text has to be text: of a size or a share a bare number is read, or refused, too.
            return setting.read(_convert(raw, str) if setting.kind is str else str(raw))
        return _convert(raw, setting.kind)
    except NotAllowed as error:
        wrong.append(Wrong(path, f"{dotted(path)}: {error.message}", error.hint or _how_to_set(setting)))
    except ValueError:  # more digits than Python makes a number of
        wrong.append(Wrong(path, f"{dotted(path)}: can't be read", _how_to_set(setting)))


def _convert(raw: Any, kind: Any) -> Any:
    """Return a plain value as its type; a number may stand in quotes. Raises NotAllowed, without the value."""
    try:
        return msgspec.convert(raw, kind, strict=False, dec_hook=lambda _path, text: Path(msgspec.convert(text, str)))
    except msgspec.ValidationError as error:
        raise NotAllowed(_in_words(str(error), kind), "") from None


def _in_words(told: str, kind: Any) -> str:
    """Return "should be a whole number, not text" for "Expected `int`, got `str`"."""
    if get_origin(kind) is Literal:
        return f"should be one of {', '.join(get_args(kind))}"
    told = told.replace("Expected", "should be").replace(", got", ", not")
    return re.sub(r"`(\w+)`", lambda found: WORDS.get(found[1], f"a {found[1]}"), told)


def dotted(path: Loc) -> str:
    """Return a path as it is told."""
    return ".".join(str(step) for step in path)


def _how_to_set(setting: Setting) -> str:
    words = setting.words
    example = f", e.g. `{setting.name}: {inline(words.examples[0])}`" if words.examples else ""
    return f"{words.description.split('. ')[0].rstrip('.')}{example}"


def inline(value: Any) -> str:
    """Return a value as YAML on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _nearest(wrong: str, known: list[str]) -> str:
    if wrong in SECRET_WORDS:
        file = next((name for name in known if name.endswith("_file")), "key_file")
        return f"secrets don't stand in the configuration: name the file that holds it with `{file}`"
    near = get_close_matches(wrong, known, n=1)
    return f"did you mean `{near[0]}`?" if near else f"settings here: {', '.join(known)}"
