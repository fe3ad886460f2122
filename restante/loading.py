"""Finding and reading a configuration file, with the line of everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import msgspec
import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from restante.config import Config
from restante.contradictions import Loc, contradictions
from restante.errors import ConfigFaults, Fault, UsageTrouble

PLACES = (Path("restante.yaml"), Path("/etc/restante/config.yaml"))
DEEPEST = 100
SECRET_WORDS = ("password", "passphrase", "secret", "token", "key")


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
    config: Config | None = None
    try:
        config = Config.model_validate(raw if raw is not None else {})
    except ValidationError as error:
        faults += [_fault(node, detail) for detail in error.errors(include_url=False, include_input=False)]
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
        yield Fault(_line(node, loc), _dotted(loc), f"{_dotted(loc)}: {message}", hint)


def _repeated_keys(node: yaml.Node | None, path: Loc = ()) -> Iterator[Fault]:
    """Yield what YAML itself lets pass: a key given twice, of which only the last would count."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            loc = (*path, key.value)
            if key.value in seen:
                message = f"{_dotted(loc)} is set twice (first in line {seen[key.value]})"
                yield Fault(key.start_mark.line + 1, _dotted(loc), message, "keep one of the two")
            seen[key.value] = key.start_mark.line + 1
            yield from _repeated_keys(value, loc)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _repeated_keys(item, (*path, number))


def _fault(node: yaml.Node | None, detail: ErrorDetails) -> Fault:
    loc = detail["loc"]
    path, line = _dotted(loc), _line(node, loc)
    match detail["type"]:
        case "missing":
            return Fault(line, path, f"{path} is missing", _how_to_set(loc))
        case "extra_forbidden":
            return Fault(line, path, f"{path} is not a setting", _nearest(loc))
        case "restante":
            context = detail.get("ctx", {})
            return Fault(line, path, f"{path}: {context['message']}", context["hint"])
        case _:
            message = "should hold settings" if detail["type"] == "model_type" else detail["msg"]
            message = message.replace("Input should", "should")
            return Fault(line, path, f"{path or 'the file'}: {message}", _how_to_set(loc))


def _dotted(loc: Loc) -> str:
    return ".".join(str(step) for step in loc)


def _line(node: yaml.Node | None, loc: Loc) -> int:
    """Return the line, from 1, of the setting at a path, or of the nearest thing around it that exists."""
    line = node.start_mark.line + 1 if node is not None else 1
    for step in loc:
        found: tuple[int, yaml.Node] | None = None
        if isinstance(node, yaml.MappingNode):
            found = next(((k.start_mark.line, v) for k, v in node.value if k.value == step), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = (node.value[step].start_mark.line, node.value[step])
        if found is None:
            break
        line, node = found[0] + 1, found[1]
    return line


def _model_at(loc: Loc) -> type[BaseModel]:
    """Return the section that holds the last step of a path."""
    model: type[BaseModel] = Config
    for step in loc[:-1]:
        field = settings_of(model).get(step) if isinstance(step, str) else None
        inner = section_of(field) if field is not None else None
        model = inner or model
    return model


def settings_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return a section's settings by what they are called in the file (`from` can be no name in Python)."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the section that a setting holds (alone, optional, or in a list), or None for a plain value."""
    candidates = (field.annotation, *get_args(field.annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _how_to_set(loc: Loc) -> str:
    names = [step for step in loc if isinstance(step, str)]
    field = settings_of(_model_at(loc)).get(names[-1]) if names else None
    if field is None:
        return "see `restante config example` for a configuration to start from"
    example = f", e.g. `{names[-1]}: {inline(field.examples[0])}`" if field.examples else ""
    return f"{(field.description or '').split('. ')[0].rstrip('.')}{example}"


def inline(value: Any) -> str:
    """Return a value as YAML on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _nearest(loc: Loc) -> str:
    known = list(settings_of(_model_at(loc)))
    wrong = str(loc[-1])
    near = get_close_matches(wrong, known, n=1)
    if wrong in SECRET_WORDS:
        files = [name for name in known if name.endswith("_file")]
        return (
            f"secrets don't stand in the configuration: name the file that holds it with `{(files or ['key_file'])[0]}`"
        )
    return f"did you mean `{near[0]}`?" if near else f"settings here: {', '.join(known)}"
