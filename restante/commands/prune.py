"""`restante prune` and `restante hold`: what is kept, what goes, and what may never go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restante.errors import Exit, UsageTrouble
from restante.locking import pruned
from restante.options import ConfigOption, JsonOption, VaultOption
from restante.output import count, print_json, print_line, print_table, say, size
from restante.progress import watched
from restante.stopping import stopping
from restante.telling.occasion import telling
from restante.when import wanted
from restante.wiring import Wiring
from vault.clock import Clock, Stoppable, SystemClock

if TYPE_CHECKING:
    from vault.locks import Extended
    from vault.prune import PruneReport


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done; change nothing.")] = False,
    acknowledge: Annotated[
        list[str] | None,
        typer.Option(
            "--acknowledge", metavar="ACCOUNT", show_default=False,
            help="Mail or snapshots of this account are meant to be gone: let its snapshots expire again.",
        ),
    ] = None,
    config: ConfigOption = None,
    vault: VaultOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Apply retention, and remove what nothing needs once 48 hours have passed."""
    from backup.prune import run_prune

    wiring, clock = Wiring(config, vault), SystemClock()

    def work() -> PruneReport:
        said = "stopping: what was done stays; the next prune goes on from here"
        with stopping(said) as stop, watched("pruning", quiet=as_json) as progress:
            return run_prune(
                wiring.vault,
                wiring.store,
                wiring.retention,
                clock=clock,
                acknowledged=acknowledge or (),
                dry_run=dry_run,
                progress=Stoppable(progress, stop),
            )

    report, extended = (work(), None) if dry_run else _done(wiring, clock, work)
    document = prune_document(report)
    if extended is not None:
        document |= {"locks_extended": extended.extended, "locks_refused": len(extended.refused)}
        document["status"] = "partial" if extended.refused else "complete"
    if report.interrupted:
        document["status"] = "interrupted"
    print_json(document) if as_json else _print(report, dry_run=dry_run)
    if extended is not None and not as_json:
        print_line(f"{count(extended.extended, 'lock')} extended.")
    for account in report.suspended:
        say(f"warning: over half of the mail of {account} went at once, so its snapshots do not expire")
        say(f"hint: if that is right: restante prune --acknowledge {account}")
    for note in report.notes:
        say(f"note: {note}")
    if extended is not None and extended.refused:
        first = extended.refused[0]
        say(f"error: the store refused to extend {count(len(extended.refused), 'lock')}, the first of {first}")
        say("hint: give the right s3:PutObjectRetention, and see docs/permissions.md")
        raise typer.Exit(Exit.PARTIAL)
    raise typer.Exit(Exit.INTERRUPTED if report.interrupted else Exit.COMPLETE)


def _done(
    wiring: Wiring, clock: Clock, work: Callable[[], PruneReport]
) -> tuple[PruneReport, Extended | None]:  # fmt: skip
    with telling(wiring, "prune", clock) as run:
        report, extended = pruned(wiring, clock, work)
        refused = extended is not None and extended.refused
        run.status = "interrupted" if report.interrupted else "partial" if refused else "complete"
    return report, extended


def prune_document(report: PruneReport) -> dict[str, Any]:
    """Return the report as `--json` prints it."""
    return {
        "status": "complete",
        "snapshots": [
            {"id": s.id, "account": s.account, "time": s.time, "keep": s.keep, "rule": s.rule}
            for s in report.snapshots
        ],
        "condemned": report.condemned,
        "deleted": report.deleted,
        "bytes_freed": report.octets_freed,
    }  # fmt: skip


def _print(report: PruneReport, *, dry_run: bool) -> None:
    if dry_run or any(not s.keep for s in report.snapshots):
        shown = report.snapshots if dry_run else [s for s in report.snapshots if not s.keep]
        rows = [(s.id, s.account, s.time, "keep" if s.keep else "goes", s.rule) for s in shown]
        print_table(("snapshot", "account", "time", "", "rule"), rows)
    kept = sum(s.keep for s in report.snapshots)
    would = "would be " if dry_run else ""
    if report.interrupted:
        done = f"{count(report.condemned, 'object')} condemned, {report.deleted:,} deleted"
        print_line(f"interrupted: {done}, {size(report.octets_freed)} freed so far.")
        return
    print_line(
        f"{count(kept, 'snapshot')} kept, {count(len(report.snapshots) - kept, 'snapshot')} expired;"
        f" {count(report.condemned, 'object')} {would}condemned, {report.deleted:,} {would}deleted,"
        f" {size(report.octets_freed)} {would}freed."
    )


def hold(
    place: Annotated[
        str,
        typer.Argument(
            metavar="ACCOUNT[@TIME]", show_default=False,
            help="All snapshots of an account, those to come too; with TIME, one of them.",
        ),
    ],
    release: Annotated[bool, typer.Option("--release", help="Let it expire again.")] = False,
    config: ConfigOption = None,
    vault: VaultOption = None,
) -> None:  # fmt: skip
    """Keep snapshots whatever the retention says, until they are released: a legal hold."""
    from vault.tombstones import read_graveyard, read_holds, write_hold

    wiring = Wiring(config, vault)
    opened, asked = wiring.vault, wanted(place)
    found = opened.find(asked.account, asked.when)
    snapshot = found.id if place != asked.account else None
    holds = read_holds(wiring.store, opened.ring).on(found.account_id, snapshot)
    what = f"{asked.account}, {found.id}" if snapshot else f"{asked.account}, all its snapshots"
    if release:
        if not holds:
            hint = "`restante snapshots` shows what is held; a hold on the whole account is released as a whole"
            raise UsageTrouble(f"there is no hold on {what}", hint=hint)
        write_hold(wiring.store, opened.ring, SystemClock(), asked.account, snapshot, holds)
        print_line(f"released: {what}")
        return
    write_hold(wiring.store, opened.ring, SystemClock(), asked.account, snapshot)
    print_line(f"on hold: {what}")
    condemned = read_graveyard(wiring.store, opened.ring).condemned
    late = [s for s in opened.snapshots(asked.account) if f"snapshots/{s.account_id}/{s.id}" in condemned]
    if any(snapshot in {None, s.id} for s in late):
        say("note: a prune had condemned it already; run `restante prune` now, so that it stays")
