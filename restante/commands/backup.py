"""`restante backup`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from restante.config import Account
from restante.errors import Exit
from restante.locking import prove_or_warn
from restante.options import ConfigOption, JsonOption, VaultOption
from restante.output import count, duration, print_json, print_line, print_table, say, size
from restante.progress import watched
from restante.stopping import stopping
from restante.telling.occasion import telling
from restante.vanished import vanished
from restante.wiring import Wiring
from vault.clock import SystemClock

if TYPE_CHECKING:
    from backup import AccountReport, BackupReport

CODES = {"complete": Exit.COMPLETE, "partial": Exit.PARTIAL, "failed": Exit.FAILED, "interrupted": Exit.INTERRUPTED}

Accounts = Annotated[
    list[str] | None,
    typer.Argument(metavar="ACCOUNT | URL", show_default=False, help="Accounts of the configuration, or URLs."),
]
JobOption = Annotated[
    str | None,
    typer.Option("--job", metavar="NAME", show_default=False, help="The accounts of a job of the configuration."),
]


def backup(
    accounts: Accounts = None,
    job: JobOption = None,
    config: ConfigOption = None,
    vault: VaultOption = None,
    as_json: JsonOption = False,
) -> None:
    """Back up accounts: those named, those of a job, or all of the configuration."""
    wiring, clock = Wiring(config, vault), SystemClock()
    with telling(wiring, "backup", clock, job=job or "") as run:
        if all(isinstance(one, Account) for one in wiring.chosen(accounts or [], job)):
            wiring.open_early()  # URLs have their passwords asked for first
        from backup import run_backup  # while a key is made of the passphrase

        sources = wiring.accounts(accounts or [], job)
        prove_or_warn(wiring, clock)
        opened, options = wiring.vault, wiring.backup_options(job)
        gone = vanished(opened, job or "", [source.account for source in sources]) if not accounts else []
        with stopping() as stop, watched("backing up", quiet=as_json) as progress:
            report = run_backup(
                opened, wiring.store, sources, options=options, clock=clock, progress=progress, stop=stop
            )
        run.recorded, run.status = True, report.status
    print_json({**_document(report), "vanished": gone}) if as_json else _print(report)
    for name in gone:
        say(f"note: {name} is no longer among the accounts; its snapshots stay")
    _tell_left_out(report)
    for account in report.accounts:
        _tell_troubles(account)
    raise typer.Exit(CODES[report.status])


def _document(report: BackupReport) -> dict[str, Any]:
    return {
        "status": report.status,
        "started": report.started,
        "seconds": round(report.seconds, 3),
        "accounts": [_account_document(account) for account in report.accounts],
        "store_puts": report.store_puts,
        "store_bytes": report.store_octets,
    }


def _account_document(report: AccountReport) -> dict[str, Any]:
    return {
        "account": report.account,
        "status": report.status,
        "snapshot": report.snapshot or None,
        "mailboxes": report.mailboxes,
        "messages": report.messages,
        "bytes": report.octets,
        "new_messages": report.new_messages,
        "linked_messages": report.linked_messages,
        "downloaded_bytes": report.downloaded_octets,
        "stored_bytes": report.stored_octets,
        "round_trips": report.round_trips,
        "failures": [{"mailbox": f.mailbox, "uid": f.uid, "reason": f.reason} for f in report.failures],
        "alarms": list(report.alarms),
        "left_out": list(report.left_out),
    }


def _print(report: BackupReport) -> None:
    columns = ("account", "status", "mailboxes", "messages", "size", "new", "linked", "downloaded", "stored")
    rows = [
        (a.account, a.status, f"{a.mailboxes:,}", f"{a.messages:,}", size(a.octets), f"{a.new_messages:,}",
         f"{a.linked_messages:,}", size(a.downloaded_octets), size(a.stored_octets))
        for a in report.accounts
    ]  # fmt: skip
    print_table(columns, rows, numeric=columns[2:])
    print_line()
    wrote = f"{count(report.store_puts, 'object')}, {size(report.store_octets)}"
    print_line(f"{report.status} in {duration(report.seconds)}; wrote {wrote}")


def _tell_left_out(report: BackupReport) -> None:
    """Say that some mailboxes are not the accounts' own, and how to have them."""
    found = [len(account.left_out) for account in report.accounts if account.left_out]
    if found:
        boxes = count(sum(found), "mailbox", "mailboxes")
        say(f"note: {boxes} of other users or shared are not backed up; `namespaces:` of an account takes them")


def _tell_troubles(account: AccountReport) -> None:
    for alarm in account.alarms:
        say(f"alarm: {account.account}: {alarm}")
    for failure in account.failures:
        if failure.mailbox:
            message = f", UID {failure.uid}" if failure.uid is not None else ""
            say(f"missing: {account.account}, {failure.mailbox}{message}: {failure.reason}")
        else:
            say(f"error: {account.account}: {failure.reason}")
            say(f"hint: {account.hint or 'run the same command again'}")
