"""`restante copy`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restante.errors import Exit, UsageTrouble
from restante.locking import copied
from restante.options import ConfigOption, JsonOption, VaultOption
from restante.output import count, duration, print_json, print_line, say, size
from restante.progress import watched
from restante.stopping import stopping
from restante.telling.occasion import telling
from restante.wiring import Wiring
from vault.clock import SystemClock

if TYPE_CHECKING:
    from vault.copy import CopyReport
    from vault.copy_plan import CopyPlan

SHOWN = 20


def copy(
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="VAULT", show_default=False,
            help="Where to: a URL, or the name of a replica in the configuration; needless where there is one.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would travel, and in which order.")] = False,
    config: ConfigOption = None,
    vault: VaultOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Bring to a second site what it lacks of the vault. Nothing is deleted or overwritten there.

    Each object is verified before it is written; exit code 4 when one is damaged.
    """
    wiring = Wiring(config, vault)
    from vault.copy import copy_vault, look_at

    if dry_run:
        plan, lag = look_at(wiring.store, wiring.vault.ring, there := wiring.replica(to or _only(wiring)))
        print_json(_plan_document(there.url, plan, lag)) if as_json else _print_plan(plan, lag)
        return
    said = "stopping: the next copy goes on from here"
    with telling(wiring, "copy", SystemClock()) as run:
        there = wiring.replica(to or _only(wiring))
        with stopping(said) as stop, watched("copying", quiet=as_json) as progress:
            copying = partial(copy_vault, wiring.store, wiring.vault.ring, there, progress=progress, stop=stop)
            report = copied(there, wiring.vault.ring, SystemClock(), copying, _note)
        run.status = _status(report)
    print_json(_document(there.url, report)) if as_json else _print(report)
    raise typer.Exit(_code(report))


def _note(doubt: str) -> None:
    say(f"note: {doubt}")


def _only(wiring: Wiring) -> str:
    if len(wiring.replicas) == 1:
        return wiring.replicas[0].name
    names = ", ".join(replica.name for replica in wiring.replicas)
    hint = f"give --to with one of {names}" if names else "give --to URL, or list `replicas` in the configuration"
    raise UsageTrouble("it was not said where to copy to", hint=hint)


def _code(report: CopyReport) -> Exit:
    if report.damage:
        return Exit.DAMAGE
    return Exit.INTERRUPTED if report.interrupted else Exit.COMPLETE


def _status(report: CopyReport) -> str:
    return "damaged" if report.damage else "interrupted" if report.interrupted else "complete"


def _document(url: str, report: CopyReport) -> dict[str, Any]:
    return {
        "status": _status(report),
        "to": url,
        "copied": report.copied,
        "bytes": report.octets,
        "skipped": report.skipped,
        "damage": [{"object": found.object, "reason": found.reason} for found in report.damage],
        "lag_seconds": report.lag,
    }


def _plan_document(url: str, plan: CopyPlan, lag: float) -> dict[str, Any]:
    return {
        "to": url,
        "objects": plan.objects,
        "bytes": plan.octets,
        "skipped": plan.present,
        "differing": list(plan.differing),
        "steps": [{"prefix": s.prefix, "objects": s.objects, "bytes": s.octets} for s in plan.steps],
        "lag_seconds": lag,
    }


def _print(report: CopyReport) -> None:
    print_line(f"{count(report.copied, 'object')} copied ({size(report.octets)}), {report.skipped:,} there already.")
    for found in report.damage[:SHOWN]:
        print_line(f"damage: {found.object}: {found.reason}")
    if len(report.damage) > SHOWN:
        print_line(f"and {len(report.damage) - SHOWN:,} more (--json lists them all)")
    _print_lag(report.lag)


def _print_plan(plan: CopyPlan, lag: float) -> None:
    for step in plan.steps:
        print_line(f"{step.prefix}: {count(step.objects, 'object')}, {size(step.octets)}")
    print_line(f"{count(plan.objects, 'object')} would travel ({size(plan.octets)}), {plan.present:,} there already.")
    for name in plan.differing:
        print_line(f"damage: {name}: it has another size there")
    _print_lag(lag)


def _print_lag(lag: float) -> None:
    print_line(f"The copy is {duration(lag)} behind." if lag > 0 else "The copy is up to date.")
