"""How trouble is told to the user: one `error:` line, one `hint:` line, an exit code."""

from __future__ import annotations

import traceback
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from imap.errors import BadUrl, ImapError
from vault.errors import Trouble


class Exit(IntEnum):
    """What the process says when it ends (docs/cli.md)."""

    COMPLETE = 0
    PARTIAL = 1
    USAGE = 2
    FAILED = 3
    DAMAGE = 4
    INTERRUPTED = 130
    READER_GONE = 141


class UsageTrouble(Trouble):
    """The command line, the environment or the configuration asks for something that can't be done."""


class Fault(NamedTuple):
    """One thing wrong with a configuration; `line` counts from 1, `path` is like `accounts.1.url`."""

    line: int
    path: str
    message: str
    hint: str


class ConfigFaults(UsageTrouble):
    """A configuration that can't be used, with everything that is wrong with it."""

    def __init__(self, file: str, faults: list[Fault]) -> None:
        super().__init__(f"{file} has {len(faults)} faults" if len(faults) != 1 else f"{file} has a fault")
        self.file = file
        self.faults = faults


class Told(NamedTuple):
    """One line of trouble and its remedy, ready to print."""

    message: str
    hint: str


def tell(error: Trouble | ImapError) -> list[Told]:
    """Return what to print for an error: one entry, or one for each fault of a configuration."""
    if isinstance(error, ConfigFaults):
        return [Told(f"{error.file}:{fault.line}: {fault.message}", fault.hint) for fault in error.faults]
    return [Told(error.message, error.hint)]


def where(error: BaseException) -> str:
    """Return the file and line an error came from: what a report of a mistake of ours needs, and no value with it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"


def exit_code(error: Trouble | ImapError) -> Exit:
    """Return the exit code that an error ends a command with."""
    return Exit.USAGE if isinstance(error, UsageTrouble | BadUrl) else Exit.FAILED
