"""`restante check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from restante.errors import Exit, UsageTrouble
from restante.options import ConfigOption, JsonOption, VaultOption, share
from restante.output import count, print_json, print_line, say, size
from restante.progress import watched
from restante.wiring import Wiring

if TYPE_CHECKING:
    from vault.check import Affected, CheckReport, DamageFound

SHOWN = 20


def check(
    read: Annotated[bool, typer.Option("--read", help="Read and verify every byte, not the structure alone.")] = False,
    sample: Annotated[
        str | None,
        typer.Option(
            "--sample", metavar="N%", show_default=False, help="With --read: only this share of the packs, at random."
        ),
    ] = None,
    config: ConfigOption = None,
    vault: VaultOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that the vault holds what it should. Exit code 4 when it does not."""
    if sample is not None and not read:
        raise UsageTrouble("--sample goes with --read", hint="restante check --read --sample 5%")
    part = share(sample)
    from vault.check import check_vault

    wiring = Wiring(config, vault)
    opened = wiring.vault
    with watched("checking", quiet=as_json) as progress:
        report = check_vault(opened, read=read, sample=part, progress=progress)
    print_json(_document(report)) if as_json else _print(report)
    for note in report.notes:
        say(f"note: {note}")
    raise typer.Exit(Exit.DAMAGE if report.damage else Exit.COMPLETE)


def _document(report: CheckReport) -> dict[str, Any]:
    return {
        "status": "damaged" if report.damage else "complete",
        "packs": report.packs,
        "blobs": report.blobs,
        "bytes_read": report.octets_read,
        "damage": [_damage_document(found) for found in report.damage],
    }


def _damage_document(found: DamageFound) -> dict[str, Any]:
    affects = [{"account": a.account, "mailbox": a.mailbox, "uid": a.uid} for a in found.affects]
    return {"object": found.object, "reason": found.reason, "affects": affects}


def _print(report: CheckReport) -> None:
    print_line(f"{count(report.packs, 'pack')}, {count(report.blobs, 'blob')}, {size(report.octets_read)} read.")
    if not report.damage:
        print_line("No damage found.")
        return
    for found in report.damage:
        print_line(f"\ndamage: {found.object}: {found.reason}")
        for a in found.affects[:SHOWN]:
            print_line(f"  affects {_touched(a)}")
        if len(found.affects) > SHOWN:
            print_line(f"  and {len(found.affects) - SHOWN:,} more (--json lists them all)")


def _touched(affected: Affected) -> str:
    if not affected.mailbox:
        return f"{affected.account}, all or part of a snapshot"
    what = "all of it" if affected.uid is None else f"UID {affected.uid}"
    return f"{affected.account}, {affected.mailbox}, {what}"
