"""A drill as command and service run it: which accounts, into what place, and its result into the vault."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from random import SystemRandom

from restante.errors import UsageTrouble
from restante.output import size
from restante.targets import is_imap, many_addresses, open_address
from restante.wiring import Wiring
from restore import DrillPlan, DrillReport, Mapping, Target, plan_drill, run_drill
from restore.errors import RestoreTrouble
from vault.clock import Clock, Progress
from vault.model import Snapshot
from vault.records import DrillResult, RunRecord, rfc3339, stamp, write_run
from vault.version import TOOL

_PLACES = "drill-"
# A Maildir rounds each file up to a block.
_BLOCK = 4096


def drill_vault(
    wiring: Wiring,
    names: Sequence[str],
    *,
    share: float,
    to: str | None,
    job: str = "",
    clock: Clock,
    progress: Progress,
    stop: threading.Event,
) -> DrillReport:
    """Drill a share of these accounts, or of all, and write the result into the vault. Raises Trouble, ImapError."""
    vault, started = wiring.vault, clock.now()
    newest = [vault.find(account) for account in vault.accounts()]
    unknown = sorted(set(names) - {snapshot.account for snapshot in newest})
    if unknown or not newest:
        known = "`restante snapshots` lists what there is"
        raise UsageTrouble(f"the vault holds no snapshot{f' of {unknown[0]}' if unknown else ''}", hint=known)
    plan = plan_drill(newest, names, share, SystemRandom())
    mapping = Mapping(into=f"Drill {stamp(started)}" if to else None)
    with _place(wiring.cache, to, plan) as open_place:
        report = run_drill(
            vault, plan, open_place, mapping=mapping, at_once=wiring.limits.accounts_at_once,
            progress=progress, stop=stop,
        )  # fmt: skip
    write_run(wiring.store, vault.ring, _record(report, started, clock.now(), job))
    return report


@contextmanager
def _place(cache: Path, to: str | None, plan: DrillPlan) -> Iterator[Callable[[Snapshot], Target]]:
    """Give what opens each snapshot's own target: at a server, or below a directory that goes away again."""
    accounts = [snapshot.account for snapshot in plan.snapshots]
    if to is not None and not is_imap(to):
        raise UsageTrouble(f"{to} is not an IMAP server", hint="leave --to out to drill into a directory")
    with ExitStack() as stack:
        url = to or f"maildir:{stack.enter_context(_directory(cache, plan))}"
        addresses = dict(zip(accounts, many_addresses(url, accounts), strict=True))

        yield lambda snapshot: open_address(addresses[snapshot.account], cache / "ledgers")


@contextmanager
def _directory(cache: Path, plan: DrillPlan) -> Iterator[Path]:
    """Give a directory that only we may read. What a drill that was killed left behind is removed first."""
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in cache.glob(f"{_PLACES}*"):
        if not _is_in_use(left):
            shutil.rmtree(left, ignore_errors=True)
    needed = plan.drilled.octets + plan.drilled.messages * _BLOCK
    free = shutil.disk_usage(cache).free
    if needed > free:
        hint = "drill fewer accounts with --sample, set vault.cache to a larger disk, or drill to a server with --to"
        raise RestoreTrouble(f"a drill needs {size(needed)} below {cache}, where {size(free)} are free", hint=hint)
    with tempfile.TemporaryDirectory(prefix=f"{_PLACES}{os.getpid()}-", dir=cache) as directory:
        yield Path(directory)


def _is_in_use(place: Path) -> bool:
    """Whether the process that made a place is still there; a container's next one may have the same number."""
    number = place.name.removeprefix(_PLACES).partition("-")[0]
    return number != str(os.getpid()) and Path(f"/proc/{number}").exists()


def _record(report: DrillReport, started: datetime, finished: datetime, job: str) -> RunRecord:
    result = DrillResult(
        accounts=report.plan.drilled.accounts, messages=report.plan.drilled.messages, octets=report.plan.drilled.octets,
        seconds=round(report.seconds, 3), rto=None if report.rto is None else round(report.rto, 3),
        altered=sum(len(account.altered) for account in report.accounts),
        failures=sum(len(account.failures) for account in report.accounts),
    )  # fmt: skip
    return RunRecord(
        started=rfc3339(started), finished=rfc3339(finished), accounts=(), tool=TOOL,
        job=job, kind="drill", status=report.status, drill=result,
    )  # fmt: skip
