"""One-off commands, as cron runs them: how a run ended is written down, and who wants to know is told."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from restante.config import Kind
from restante.errors import UsageTrouble, where
from restante.output import say
from restante.recording import record_run
from restante.wiring import Wiring
from vault.clock import Clock
from vault.records import CheckResult

if TYPE_CHECKING:
    from restante.telling.teller import Outcome


@dataclass
class Run:
    """How a command's work ended; `recorded` where it wrote its own run record."""

    status: str = "complete"
    check: CheckResult | None = None
    recorded: bool = False


@contextmanager
def telling(wiring: Wiring, kind: Kind, clock: Clock, *, job: str = "") -> Iterator[Run]:
    """Do a command's work in the block; then tell what is new. Where nobody is to be told, it is just done.

    What goes wrong with telling is a line on stderr and never the command's failure. What someone typed wrong at a
    terminal is told to nobody else.
    """
    run, started = Run(), clock.now()
    if wiring.notify is None:
        yield run
        return
    try:
        yield run
    except Exception as error:
        if not (isinstance(error, UsageTrouble) and sys.stderr.isatty()):
            run.status = "failed"
            _conclude(wiring, kind, job, run, started, clock, error)
        raise
    if run.status != "interrupted":  # whoever stopped it wants it gone, not waiting for a mail server
        _conclude(wiring, kind, job, run, started, clock, None)


def _conclude(
    wiring: Wiring, kind: Kind, job: str, run: Run, started: datetime, clock: Clock, error: Exception | None
) -> None:  # fmt: skip
    from restante.telling.teller import UNSEEN, Teller, unreachable

    try:
        if not run.recorded:
            record_run(wiring, kind, started, clock.now(), run.status, job=job, check=run.check, error=error)
    except UNSEEN as lost:
        if error is None:
            say(f"warning: how this run ended can't be written into the vault: {lost}")
    try:
        teller = Teller(clock)
        warn(teller.tell(wiring, unreachable(error, clock.now()) if error is not None else None), teller.unsaved)
    except Exception as mistake:  # noqa: BLE001  (a backup that went well must not end as failed because of this)
        say(f"warning: nobody was told: {type(mistake).__name__} in {where(mistake)}")


def warn(outcomes: list[Outcome], unsaved: str) -> None:
    """Say what was not told, a line each."""
    for out in outcomes:
        if out.error:
            say(f"warning: not told by {out.channel}: {out.error}; it is tried again at the next run")
        elif out.note:
            say(f"warning: told by {out.channel}, but {out.note}")
    if unsaved:
        say(f"warning: what was told can't be remembered, and may be told again: {unsaved}")
