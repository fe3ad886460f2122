"""Finding and reading a configuration file, with the line of everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from restante.config import Config
from restante.contradictions import Loc, contradictions
from restante.errors import ConfigFaults, Fault, UsageTrouble
from restante.validation import Wrong, dotted, read_section

PLACES = (Path("restante.yaml"), Path("/etc/restante/config.yaml"))
DEEPEST = 100


class Loaded(msgspec.Struct, frozen=True):
    """A sound configuration, and the file it came from; relative paths in it start at the file's directory."""

    config: Config
    file: Path

    def path(self, path: Path) -> Path:
        """Return a path of the configuration as seen from here."""
        return self.file.parent / path.expanduser()


def find_config(given: Path | None) -> Path | None:
    """Return the configuration file to use, or None where there is none. Raises UsageTrouble for a missing one."""
    named = given or (Path(os.environ["RESTANTE_CONFIG"]) if os.environ.get("RESTANTE_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            hint = (
                "name an existing file with -c or RESTANTE_CONFIG; `restante config example` prints one to start from"
            )
            raise UsageTrouble(f"no configuration file {named}", hint=hint)
        return named
    return next((place for place in PLACES if place.is_file()), None)


_Parser = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
"""The one in C is ten times as fast, which shows where there are hundreds of accounts."""


class _Loader(_Parser):  # type: ignore[valid-type,misc]
    """PyYAML's own, with a place for what it fails at: `2026-99-99` looks like a date and is none."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError, IndexError, AttributeError):
            problem = "a value is not the number, date or octets that it looks like; put it in quotes"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None


def load_config(file: Path) -> Loaded:
    """Read and validate a configuration; raises ConfigFaults with all that is wrong, in order of lines."""
    text = _read(file)
    try:
        _refuse_depths(text)
        node = yaml.compose(text, Loader=_Parser)
        raw = yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader, which says where it fails
        faults = [*_repeated_keys(node), *_contradictions(node, raw)]
    except yaml.YAMLError as error:
        raise ConfigFaults(str(file), [_syntax_fault(error)]) from None
    except RecursionError:
        fault = Fault(1, "", "something in it is nested too deeply, or within itself", "look for `[[[` and `*` aliases")
        raise ConfigFaults(str(file), [fault]) from None
    wrong: list[Wrong] = []
    config = read_section(Config, raw if raw is not None else {}, wrong)
    faults += [Fault(_line(node, path), dotted(path), message, hint) for path, message, hint in wrong]
    if faults or config is None:
        raise ConfigFaults(str(file), sorted(set(faults)))
    return Loaded(config, file)


def _refuse_depths(text: str) -> None:
    """Raise RecursionError where it is nested so deeply that the parser in C would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_Parser):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise RecursionError


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        hint = "check the path and the rights of the file"
        raise UsageTrouble(f"cannot read {file}: {error.strerror}", hint=hint) from None
    except UnicodeDecodeError:
        raise UsageTrouble(f"{file} is not text in UTF-8", hint="save it as UTF-8") from None


def _syntax_fault(error: yaml.YAMLError) -> Fault:
    hint = "indent with spaces, put a space after each colon, and quote values that hold `: `, `#`, `*` or `@`"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return Fault(error.problem_mark.line + 1, "", f"not YAML: {error.problem}", hint)
    return Fault(1, "", "not YAML", hint)


def _contradictions(node: yaml.Node | None, raw: Any) -> Iterator[Fault]:
    for loc, message, hint in contradictions(raw):
        yield Fault(_line(node, loc), dotted(loc), f"{dotted(loc)}: {message}", hint)


def _repeated_keys(node: yaml.Node | None, path: Loc = ()) -> Iterator[Fault]:
    """Yield what YAML itself lets pass: a key given twice, of which only the last would count."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            loc = (*path, key.value)
            if key.value in seen:
                message = f"{dotted(loc)} is set twice (first in line {seen[key.value]})"
                yield Fault(key.start_mark.line + 1, dotted(loc), message, "keep one of the two")
            seen[key.value] = key.start_mark.line + 1
            yield from _repeated_keys(value, loc)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _repeated_keys(item, (*path, number))


def _line(node: yaml.Node | None, loc: Loc) -> int:
    """Return the line, from 1, of the setting at a path, or of the nearest thing around it that exists."""
    line = node.start_mark.line + 1 if node is not None else 1
    for step in loc:
        found: tuple[int, yaml.Node] | None = None
        if isinstance(node, yaml.MappingNode):
            found = next(((k.start_mark.line, v) for k, v in node.value if k.value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = (node.value[step].start_mark.line, node.value[step])
        if found is None:
            break
        line, node = found[0] + 1, found[1]
    return line
