"""`restante ls` of a mailbox, out of the frozen vault."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from restante.output import print_json_list
from tests.cli.command import ROOT, Command
from vault.errors import Damage

SOUND = ROOT / "tests" / "vaults" / "v1" / "sound"
BY_TWOS = """
import sys
from restante.cli import main
from restante.commands import browse

browse.BATCH = 2
sys.exit(main(sys.argv[1:]))
"""


WORDS = json.loads((SOUND / "expected.json").read_text(encoding="utf-8"))
ANNA = WORDS["snapshots"][-1]


@pytest.fixture
def ready(command: Command, tmp_path: Path) -> Command:
    """The command with a copy of the vault."""
    shutil.copytree(SOUND / "vault", tmp_path / "vault")
    return command.with_(RESTANTE_PASSPHRASE=WORDS["passphrase"], RESTANTE_VAULT=f"file://{tmp_path}/vault")


def test_a_mailbox_is_listed_whole_in_however_many_batches(ready: Command) -> None:
    expected = [(uid, flags) for mailbox, uid, flags, *_ in ANNA["messages"] if mailbox == "INBOX"]
    line = ("ls", ANNA["account"], "INBOX", "--json")
    at_once = ready.well(*line).document
    assert len(expected) > 2
    assert [(row["uid"], row["flags"]) for row in at_once] == expected
    assert any(row["subject"] for row in at_once)
    by_twos = subprocess.run(
        [sys.executable, "-c", BY_TWOS, *line], cwd=ROOT, env=ready.env, capture_output=True, text=True, check=True
    )
    assert json.loads(by_twos.stdout) == at_once


def test_an_empty_mailbox_is_an_empty_list(ready: Command) -> None:
    boxes = ready.well("ls", ANNA["account"], "--json").document
    empty = next(box["mailbox"] for box in boxes if not box["messages"])
    assert ready.well("ls", ANNA["account"], empty, "--json").document == []


def test_a_list_that_fails_on_the_way_is_not_closed(capsys: pytest.CaptureFixture[str]) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise Damage("a page is damaged", object_name="meta")

    with pytest.raises(Damage):
        print_json_list(items())
    with pytest.raises(json.JSONDecodeError):
        json.loads(capsys.readouterr().out)
