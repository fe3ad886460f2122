"""The pages can't rot: every command and option stands in docs/cli.md, and every command there exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from restante.cli import application
from restante.errors import Exit
from tests.cli.command import ROOT, Command

PAGE = (ROOT / "docs" / "cli.md").read_text()
EVERYWHERE = {"--config", "--vault", "--json", "--help", "--version", "--debug"}


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield (full name, command) of every command that does something."""
    group = group or typer.main.get_command(application())
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def test_every_command_is_documented_and_every_documented_command_exists() -> None:
    documented = set(re.findall(r"^### `restante ([a-z]+(?: [a-z]+)?)", PAGE, re.MULTILINE))
    assert documented == {name for name, _ in commands()}


def test_every_option_is_documented() -> None:
    for name, command in commands():
        section = PAGE.split(f"### `restante {name}")[1].split("\n### ")[0].split("\n## ")[0]
        for option in (o for p in command.params for o in p.opts if o.startswith("--")):
            assert option in (PAGE if option in EVERYWHERE else section), f"{name} {option}"


def test_every_exit_code_is_documented() -> None:
    for code in Exit:
        assert f"| {code.value} |" in PAGE


def test_every_command_of_every_page_exists() -> None:
    known = {name for name, _ in commands()} | {"key", "index", "config"}
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for name in re.findall(r"(?:^|`|\$ )restante ([a-z]+)", page.read_text(), re.MULTILINE):
            assert any(name == each.split()[0] for each in known), f"{page.name}: {name}"


def test_the_configuration_in_the_readme_is_sound(command: Command) -> None:
    for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)):
        (command.cwd / f"{number}.yaml").write_text(text)
        assert "is sound: 2 accounts" in command.well("config", "check", "-c", f"{number}.yaml").out


def test_help_names_every_command_and_answers_without_a_vault(command: Command) -> None:
    out = command.well("--help").out
    for name, _ in commands():
        assert name.split()[0] in out
        assert "Usage" in command.well(*name.split(), "--help").out if name in {"backup", "key add"} else True


def test_the_version_is_told(command: Command) -> None:
    assert re.fullmatch(r"restante \d+\.\d+\.\d+\n", command.well("--version").out)
