"""The real command, run as users run it: another process, its own environment, a bounded time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.secret import watched

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """What one run of the command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]

    @property
    def hints(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("hint: ")]


@dataclass(frozen=True)
class Command:
    """`restante` with an environment of its own. Whatever it prints is searched for secrets."""

    cwd: Path
    env: dict[str, str]

    def process(self, *arguments: str, **extra: str) -> subprocess.Popen[bytes]:
        """Start it."""
        return subprocess.Popen(
            [sys.executable, "-m", "restante", *arguments],
            cwd=self.cwd,
            env={**self.env, **extra},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def raw(self, *arguments: str, timeout: float = 60, **extra: str) -> tuple[int, bytes, bytes]:
        """Run it; fail when it takes too long, shows a traceback or a secret."""
        process = self.process(*arguments, **extra)
        try:
            out, err = process.communicate(timeout=timeout)
        finally:
            process.kill()
            process.wait()
        assert b"Traceback" not in err, err.decode(errors="replace")
        watched(out.decode(errors="replace"), result=True)
        watched(err.decode(errors="replace"))
        return process.returncode, out, err

    def __call__(self, *arguments: str, timeout: float = 60, **extra: str) -> Outcome:
        """Run it and return what it said, as text."""
        code, out, err = self.raw(*arguments, timeout=timeout, **extra)
        return Outcome(code, out.decode(), err.decode())

    def well(self, *arguments: str, timeout: float = 60, **extra: str) -> Outcome:
        """Run it and demand exit code 0."""
        outcome = self(*arguments, timeout=timeout, **extra)
        assert outcome.code == 0, f"{arguments}: {outcome}"
        return outcome

    def with_(self, **env: str) -> Command:
        """Return the same command with more in its environment."""
        return Command(self.cwd, {**self.env, **env})


def bare_command(cwd: Path) -> Command:
    """Return the command as on an empty machine: no configuration, no cache, no secret."""
    home = cwd / "home"
    home.mkdir(exist_ok=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    return Command(cwd, {**env, "PYTHONWARNINGS": "error"})


def assert_one_error(outcome: Outcome, code: int, *words: str) -> None:
    """Demand the exit code, one `error:` line that holds the words, and one `hint:` line behind it."""
    assert outcome.code == code, outcome
    assert len(outcome.errors) == 1, outcome.err
    assert len(outcome.hints) == 1, outcome.err
    assert len(outcome.hints[0]) > len("hint: "), outcome.err
    for word in words:
        assert word.lower() in outcome.errors[0].lower(), outcome.err
