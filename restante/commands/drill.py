"""`restante drill`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from restante.drilling import drill_vault
from restante.errors import Exit
from restante.options import ConfigOption, JsonOption, VaultOption, share
from restante.output import count, duration, print_json, print_line, print_table, say, size
from restante.progress import watched
from restante.stopping import stopping
from restante.telling.occasion import telling
from restante.wiring import Wiring
from restore import AccountDrill, Amount, DrillReport
from vault.clock import SystemClock

SHOWN = 20
CODES = {
    "complete": Exit.COMPLETE,
    "partial": Exit.PARTIAL,
    "damaged": Exit.DAMAGE,
    "interrupted": Exit.INTERRUPTED,
}


def drill(
    accounts: Annotated[
        list[str] | None, typer.Argument(metavar="ACCOUNT", show_default=False, help="Only these accounts.")
    ] = None,
    sample: Annotated[
        str | None,
        typer.Option("--sample", metavar="N%", show_default=False, help="Only this share of the accounts, at random."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="URL", show_default=False,
            help="A throw-away IMAP server, as in `restore --all`; else a directory that is removed again.",
        ),
    ] = None,
    config: ConfigOption = None,
    vault: VaultOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Restore to a throw-away place, compare every message, and tell how long restoring all would take.

    Exit code 4 when anything is missing, 1 when the place keeps something otherwise.
    """
    part = share(sample)
    wiring = Wiring(config, vault)
    said = "stopping: this drill proves nothing"
    with telling(wiring, "drill", SystemClock()) as run:
        with stopping(said) as stop, watched("drilling", quiet=as_json) as progress:
            report = drill_vault(
                wiring, accounts or [], share=part, to=to, clock=SystemClock(), progress=progress, stop=stop
            )
        run.recorded, run.status = True, report.status
    print_json(_document(report)) if as_json else _print(report)
    _tell_troubles(report)
    raise typer.Exit(CODES[report.status])


def _document(report: DrillReport) -> dict[str, Any]:
    return {
        "status": report.status,
        "seconds": round(report.seconds, 3),
        "rto_seconds": None if report.rto is None else round(report.rto, 3),
        "drilled": _amount(report.plan.drilled),
        "vault": _amount(report.plan.vault),
        "accounts": [_account_document(account) for account in report.accounts],
    }


def _amount(amount: Amount) -> dict[str, int]:
    return {"accounts": amount.accounts, "messages": amount.messages, "bytes": amount.octets}


def _account_document(account: AccountDrill) -> dict[str, Any]:
    return {
        "account": account.account,
        "snapshot": account.snapshot,
        "status": account.status,
        "messages": account.messages,
        "bytes": account.octets,
        "same": account.same,
        "altered": [{"mailbox": a.mailbox, "uid": a.uid, "what": a.what} for a in account.altered],
        "failures": [{"mailbox": f.mailbox, "uid": f.uid, "reason": f.reason} for f in account.failures],
    }


def _print(report: DrillReport) -> None:
    rows = [
        (a.account, a.status, f"{a.messages:,}", size(a.octets), f"{a.same:,}", f"{len(a.altered):,}",
         f"{len(a.failures):,}")
        for a in report.accounts
    ]  # fmt: skip
    columns = ("account", "status", "messages", "size", "same", "altered", "missing")
    print_table(columns, rows, numeric=columns[2:])
    drilled, vault = report.plan.drilled, report.plan.vault
    print_line(f"{count(drilled.messages, 'message')}, {size(drilled.octets)} restored in {duration(report.seconds)}.")
    if report.rto is not None:
        all_of_it = f"{count(vault.accounts, 'account')}, {size(vault.octets)}"
        print_line(f"At this pace the whole vault ({all_of_it}) would be back in {duration(report.rto)}.")


def _tell_troubles(report: DrillReport) -> None:
    lines = [line for account in report.accounts for line in _troubles(account)]
    for line in lines[:SHOWN]:
        say(line)
    if len(lines) > SHOWN:
        say(f"and {count(len(lines) - SHOWN, 'more', 'more')}: --json lists them all")


def _troubles(account: AccountDrill) -> Iterator[str]:
    for altered in account.altered:
        yield f"altered: {_where(account, altered.mailbox, altered.uid)}: {altered.what}"
    for failure in account.failures:
        yield f"missing: {_where(account, failure.mailbox, failure.uid)}: {failure.reason}"


def _where(account: AccountDrill, mailbox: str, uid: int | None) -> str:
    return ", ".join([account.account, *([mailbox] if mailbox else []), *([f"UID {uid}"] if uid is not None else [])])
