"""What a command costs: wall and processor time, peak memory of its largest process."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class CommandFailed(RuntimeError):
    """A measured command left with a code that was not expected."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of wall and of processor (user and system, children too), MiB of the largest process, what it said."""

    wall: float
    cpu: float
    peak: float
    said: str = ""

    def __add__(self, other: Cost) -> Cost:
        """One after the other: times add, the larger peak counts."""
        return Cost(self.wall + other.wall, self.cpu + other.cpu, max(self.peak, other.peak), other.said)


def _wait(process: subprocess.Popen[bytes]) -> tuple[float, float, int]:
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, process.returncode


def measure(commands: Sequence[Sequence[str]], *, env: Mapping[str, str], log: Path, width: int = 1) -> Cost:
    """Run the commands, `width` of them at a time, and say what they cost together.

    Standard output of the last one comes back as `said`, errors go to the log. Raises CommandFailed for one that
    does not leave with 0.
    """
    began, cpu, peak, said = time.monotonic(), 0.0, 0.0, ""
    for first in range(0, len(commands), width):
        running = [_start(command, env, log) for command in commands[first : first + width]]
        for process, out in running:
            seconds, mebibytes, code = _wait(process)
            cpu, peak, said = cpu + seconds, max(peak, mebibytes), out.read_text()
            if code != 0:
                raise CommandFailed(f"{process.args!r} left with {code}: see {log}\n{log.read_text()[-2000:]}")
    return Cost(time.monotonic() - began, cpu, peak, said)


def _start(command: Sequence[str], env: Mapping[str, str], log: Path) -> tuple[subprocess.Popen[bytes], Path]:
    out = log.with_name(f"{log.stem}.{time.monotonic_ns()}.out")
    with out.open("wb") as stdout, log.open("ab") as stderr:
        stderr.write(f"$ {' '.join(command)}\n".encode())
        stderr.flush()
        full = {**os.environ, **env}
        process = subprocess.Popen(command, env=full, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
    return process, out


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
