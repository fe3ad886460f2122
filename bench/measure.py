"""What a command costs: wall and processor time, peak memory of its largest process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.delay import Line, Traffic

_USAGE = Path(__file__).with_name("usage.py")


class CommandFailed(RuntimeError):
    """A measured command left with a code that was not expected."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of wall and of processor (user and system, children too), MiB of the largest process, what it said.

    Where mail server or store lie at the end of a line: what went over it.
    """

    wall: float
    cpu: float
    peak: float
    said: str = ""
    mail: Traffic | None = None
    store: Traffic | None = None

    def __add__(self, other: Cost) -> Cost:
        """One after the other: times and traffic add, the larger peak counts."""
        mail, store = _both(self.mail, other.mail), _both(self.store, other.store)
        return Cost(self.wall + other.wall, self.cpu + other.cpu, max(self.peak, other.peak), other.said, mail, store)


def _both(one: Traffic | None, other: Traffic | None) -> Traffic | None:
    return one + other if one and other else one or other


def measure(
    commands: Sequence[Sequence[str]],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    width: int = 1,
    mail: Line | None = None,
    store: Line | None = None,
) -> Cost:
    """Run the commands, `width` of them at a time, and say what they cost together, traffic on the lines included.

    What others left to be written to disk is written first, so that nobody waits for another's pages. Standard output
    of the last one comes back as `said`, errors go to the log. Raises CommandFailed for one that does not leave with 0.
    """
    os.sync()
    before = [line.traffic() if line else None for line in (mail, store)]
    began, cpu, peak, said = time.monotonic(), 0.0, 0.0, ""
    for first in range(0, len(commands), width):
        running = [_start(command, env or {}, log) for command in commands[first : first + width]]
        for one in running:
            seconds, mebibytes, said = one.wait()
            cpu, peak = cpu + seconds, max(peak, mebibytes)
    wall = time.monotonic() - began
    traffic = [line.traffic() - was if line and was else None for line, was in zip((mail, store), before, strict=True)]
    return Cost(wall, cpu, peak, said, *traffic)


@dataclass(frozen=True, slots=True)
class _Running:
    process: subprocess.Popen[bytes]
    command: Sequence[str]
    out: Path
    used: Path
    log: Path

    def wait(self) -> tuple[float, float, str]:
        """Return its processor seconds, its peak in MiB and what it said. Raises CommandFailed."""
        self.process.wait()
        seconds, mebibytes, code = self.used.read_text().split()
        if code != "0":
            raise CommandFailed(f"{self.command!r} left with {code}: see {self.log}\n{self.log.read_text()[-2000:]}")
        return float(seconds), float(mebibytes), self.out.read_text()


def _start(command: Sequence[str], env: Mapping[str, str], log: Path) -> _Running:
    number = time.monotonic_ns()
    out, used = log.with_name(f"{log.stem}.{number}.out"), log.with_name(f"{log.stem}.{number}.used")
    with out.open("wb") as stdout, log.open("ab") as stderr:
        stderr.write(f"$ {' '.join(command)}\n".encode())
        stderr.flush()
        full = {**os.environ, **env}
        started = [sys.executable, "-IS", str(_USAGE), str(used), *command]
        process = subprocess.Popen(started, env=full, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
    return _Running(process, command, out, used, log)


@dataclass(frozen=True, slots=True)
class Kept:
    """What lies in a store: octets and objects."""

    octets: int
    objects: int

    def __sub__(self, before: Kept) -> Kept:
        """What came since."""
        return Kept(self.octets - before.octets, self.objects - before.objects)


def kept(root: Path) -> Kept:
    """Count the files below a directory, and their octets."""
    sizes = [path.stat().st_size for path in root.rglob("*") if path.is_file()]
    return Kept(sum(sizes), len(sizes))
