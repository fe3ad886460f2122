"""`restante check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from restante.errors import Exit, UsageTrouble
from restante.options import ConfigOption, JsonOption, VaultOption, share
from restante.output import count, print_json, print_line, say, size
from restante.progress import watched
from restante.telling.occasion import telling
from restante.wiring import Wiring
from vault.clock import SystemClock
from vault.records import CheckResult

if TYPE_CHECKING:
    from vault.check import Affected, CheckReport, DamageFound
    from vault.repair import Repair

SHOWN = 20
ROUNDS = 5


def check(
    read: Annotated[bool, typer.Option("--read", help="Read and verify every byte, not the structure alone.")] = False,
    sample: Annotated[
        str | None,
        typer.Option(
            "--sample", metavar="N%", show_default=False, help="With --read: only this share of the packs, at random."
        ),
    ] = None,
    repair_from: Annotated[
        str | None,
        typer.Option(
            "--repair-from", metavar="VAULT", show_default=False,
            help="Heal what is found from a copy: its URL, or a replica's name. Then check again.",
        ),
    ] = None,
    config: ConfigOption = None,
    vault: VaultOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Prove that the vault holds what it should. Exit code 4 when it does not."""
    if sample is not None and not read:
        raise UsageTrouble("--sample goes with --read", hint="restante check --read --sample 5%")
    part = share(sample)
    from vault.check import check_vault
    from vault.repair import Repair, repair_vault

    wiring = Wiring(config, vault)
    with telling(wiring, "check", SystemClock()) as run:
        copy = wiring.replica(repair_from) if repair_from is not None else None
        opened, repaired = wiring.vault, list[Repair]()
        with watched("checking", quiet=as_json) as progress:
            report = check_vault(opened, read=read, sample=part, progress=progress)
            for _ in range(ROUNDS):  # where a tree's page was lost, what it names is seen only once it is back
                if copy is None or not report.damage:
                    break
                healed = list(repair_vault(wiring.store, opened.ring, copy, report.damage))
                repaired = [one for one in repaired if one.healed] + healed
                if not any(one.healed for one in healed):
                    break
                report = check_vault(opened, read=read, sample=part, progress=progress)
        run.status = "damaged" if report.damage else "complete"
        run.check = CheckResult(share=part if read else 0.0, damaged=len(report.damage))
    if as_json:
        print_json(_document(report) | _repaired_document(repaired, asked=copy is not None))
    else:
        _print_repaired(repaired)
        _print(report)
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


def _repaired_document(repaired: list[Repair], *, asked: bool) -> dict[str, Any]:
    told = [{"object": one.object, "repaired": one.healed, "reason": one.reason} for one in repaired]
    return {"repairs": told} if asked else {}


def _print_repaired(repaired: list[Repair]) -> None:
    for one in repaired:
        print_line(f"repaired: {one.object}" if one.healed else f"not repaired: {one.object}: {one.reason}")


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
