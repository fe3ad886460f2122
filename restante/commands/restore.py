"""`restante restore`."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from restante.commands.backup import CODES
from restante.errors import UsageTrouble
from restante.options import ConfigOption, JsonOption, VaultOption
from restante.output import count, duration, print_json, print_line, print_table, say
from restante.processes import processes_for, restore_in_processes
from restante.progress import watched
from restante.restoring import Place as Where
from restante.restoring import Wishes, planned, restore_one, restore_places
from restante.stopping import stopping
from restante.targets import (
    Address,
    check_sieve,
    check_target,
    many_addresses,
    one_address,
)
from restante.when import day, wanted
from restante.wiring import Wiring
from restore import (
    Beside,
    Filters,
    Fit,
    Mapping,
    PlannedMailbox,
    RestorePlan,
    RestoreReport,
    describe_plan,
    fits,
    worst,
)
from vault.clock import Progress
from vault.model import Snapshot
from vault.vault import Vault

SHOWN = 20


def _text(name: str, metavar: str, told: str) -> Any:
    return typer.Option(name, metavar=metavar, show_default=False, help=told)


Place = Annotated[
    str | None,
    typer.Argument(metavar="ACCOUNT[@TIME]", show_default=False, help="TIME: latest, a date or time, a snapshot id."),
]
To = Annotated[
    str,
    _text(
        "--to",
        "URL",
        "imaps://user@host, imap://…, maildir:DIR, mbox:DIR, eml:DIR, lmtp://host, smtp://host.",
    ),
]
All = Annotated[bool, typer.Option("--all", help="Every account of the vault.")]
Boxes = Annotated[list[str] | None, _text("--mailbox", "GLOB", "Only these mailboxes; may be repeated.")]
Since = Annotated[str | None, _text("--since", "DATE", "Only messages received on that day or later.")]
Before = Annotated[str | None, _text("--before", "DATE", "Only messages received earlier.")]
From = Annotated[str | None, _text("--from", "TEXT", "Only messages whose From header holds the text.")]
Subject = Annotated[str | None, _text("--subject", "TEXT", "Only messages whose subject holds the text.")]
MessageId = Annotated[str | None, _text("--message-id", "ID", "Only this message.")]
Map = Annotated[
    list[str] | None, _text("--map", "OLD=NEW", "Rename mailboxes; may be repeated; `*` stands for the same.")
]
Into = Annotated[str | None, _text("--into", "PREFIX", "Put everything below this mailbox.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and do nothing.")]
WithAcl = Annotated[bool, typer.Option("--with-acl", help="Give others the rights they had in the mailboxes.")]
WithShared = Annotated[bool, typer.Option("--with-shared", help="Also mailboxes of other users and shared ones.")]
NoMetadata = Annotated[bool, typer.Option("--no-metadata", help="Leave annotations out.")]
Sieve = Annotated[str | None, _text("--sieve", "URL", "Also Sieve scripts: sieve://host[:4190], the target's login.")]
ActivateSieve = Annotated[bool, typer.Option("--activate-sieve", help="Make the script active that was.")]
IgnoreQuota = Annotated[bool, typer.Option("--ignore-quota", help="Restore what fits, even if not all of it does.")]
NoReceipts = Annotated[
    bool, typer.Option("--no-receipts", help="Mark all mail so that no mail program sends read receipts for it.")
]
Verify = Annotated[bool, typer.Option("--verify", help="Read everything back and compare.")]


def restore(
    to: To,
    place: Place = None,
    everything: All = False,
    mailbox: Boxes = None,
    since: Since = None,
    before: Before = None,
    sender: From = None,
    subject: Subject = None,
    message_id: MessageId = None,
    rename: Map = None,
    into: Into = None,
    dry_run: DryRun = False,
    verify: Verify = False,
    ignore_quota: IgnoreQuota = False,
    no_receipts: NoReceipts = False,
    with_acl: WithAcl = False,
    with_shared: WithShared = False,
    no_metadata: NoMetadata = False,
    sieve: Sieve = None,
    activate_sieve: ActivateSieve = False,
    config: ConfigOption = None,
    vault: VaultOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay a snapshot to a mail server or into files. Running it again writes nothing twice."""
    if (place is None) != everything:
        hint = "restante restore ACCOUNT --to URL, or restante restore --all --to URL"
        raise UsageTrouble("name an account or --all, one of the two", hint=hint)
    if everything and with_shared:
        hint = "name the account whose snapshot holds them: others may hold the same mailboxes"
        raise UsageTrouble("--with-shared goes with one account, not with --all", hint=hint)
    if activate_sieve and sieve is None:
        raise UsageTrouble("--activate-sieve without --sieve", hint="give --sieve sieve://host, where scripts go")
    check_target(to, many=everything, verify=verify, receipts=not no_receipts)
    if sieve is not None:
        check_sieve(sieve, to)
    wiring = Wiring(config, vault)
    filters = Filters(
        tuple(mailbox or ()),
        day(since) if since else None,
        day(before) if before else None,
        sender,
        subject,
        message_id,
    )
    wishes = Wishes(
        filters,
        Mapping(tuple(_renaming(text) for text in rename or ()), into),
        Beside(not no_metadata, with_acl, with_shared, sieve is not None),
        sieve,
        activate_sieve,
        wiring.cache / "ledgers",
        not no_receipts,
        verify,
        ignore_quota,
    )
    opened = wiring.vault
    places = [_one(opened, to, place)] if place else _everything(opened, to)
    if dry_run:
        _print_plans([_only_plan(opened, *one, wishes) for one in places], as_json=as_json)
        return
    started = time.monotonic()
    said = "stopping: what is restored stays; run the same command to go on"
    with stopping(said) as stop, watched("restoring", quiet=as_json) as progress:
        if len(places) == 1:
            reports = [restore_one(opened, *places[0], wishes, progress, stop)]
        else:
            reports = _restore_all(wiring, places, wishes, progress, stop)
    status = worst(report.status for report in reports)
    print_json(_document(status, time.monotonic() - started, reports)) if as_json else _print(reports)
    for report in reports:
        _tell_troubles(report)
    raise typer.Exit(CODES[status])


def _renaming(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise UsageTrouble(f"{text} is no renaming", hint="write --map 'Old/*=New/*'")
    return old, new


def _one(vault: Vault, to: str, place: str) -> tuple[Snapshot, Address]:
    """Return the snapshot that was named, and its place at the target."""
    asked = wanted(place)
    return vault.find(*asked), one_address(to, asked.account)


def _everything(vault: Vault, to: str) -> list[tuple[Snapshot, Address]]:
    """Return every account's newest snapshot and its own place at the target."""
    accounts = vault.accounts()
    if not accounts:
        raise UsageTrouble("the vault holds no snapshot", hint="`restante backup` makes one")
    return list(zip(map(vault.find, accounts), many_addresses(to, accounts), strict=True))


def _restore_all(
    wiring: Wiring, places: Sequence[Where], wishes: Wishes, progress: Progress, stop: threading.Event
) -> list[RestoreReport]:
    """Restore every account, by several processes where that is worth it."""
    limits = wiring.limits
    processes = processes_for(places, limits.accounts_at_once, limits.processes)
    if processes == 1:
        return restore_places(wiring.vault, places, wishes, progress, stop, at_once=limits.accounts_at_once)
    return restore_in_processes(
        wiring.vault,
        places,
        wishes,
        progress,
        stop,
        at_once=limits.accounts_at_once,
        processes=processes,
        cache=wiring.cache,
    )


def _only_plan(vault: Vault, snapshot: Snapshot, address: Address, wishes: Wishes) -> RestorePlan:
    target, plan, _ = planned(vault, snapshot, address, wishes)
    target.close()
    return plan


def _document(status: str, seconds: float, reports: Sequence[RestoreReport]) -> dict[str, Any]:
    return {"status": status, "seconds": round(seconds, 3), "accounts": [_account_document(r) for r in reports]}


def _account_document(report: RestoreReport) -> dict[str, Any]:
    return {
        "account": report.account,
        "snapshot": report.snapshot,
        "target": report.target,
        "restored": report.restored,
        "skipped": report.skipped,
        "altered": [{"mailbox": a.mailbox, "uid": a.uid, "what": a.what} for a in report.altered],
        "failures": [{"mailbox": f.mailbox, "uid": f.uid, "reason": f.reason} for f in report.failures],
    }


def _print(reports: Sequence[RestoreReport]) -> None:
    if len(reports) == 1:
        print_line(f"{reports[0].account}, snapshot {reports[0].snapshot}, to {reports[0].target}:")
    columns = ("account", "status", "restored", "skipped", "same", "altered", "missing", "took")
    rows = [
        (r.account, r.status, f"{r.restored:,}", f"{r.skipped:,}", f"{r.verified:,}",
         f"{len(r.altered):,}", f"{len(r.failures):,}", duration(r.seconds))
        for r in reports
    ]  # fmt: skip
    shown = [i for i, name in enumerate(columns) if name != "same" or any(r.verified for r in reports)]
    print_table([columns[i] for i in shown], [[row[i] for i in shown] for row in rows], numeric=columns[2:])


def _print_plans(plans: Sequence[RestorePlan], *, as_json: bool) -> None:
    if as_json:
        print_json([_plan_document(plan) for plan in plans])
        return
    for plan in plans:
        print_line(f"{plan.account}, snapshot {plan.snapshot}, to {plan.target}:")
        for line in describe_plan(plan):
            print_line(f"  {line}")


def _plan_document(plan: RestorePlan) -> dict[str, Any]:
    mailboxes = [_planned(mailbox) for mailbox in plan.mailboxes]
    return {
        "account": plan.account,
        "snapshot": plan.snapshot,
        "target": plan.target,
        "mailboxes": mailboxes,
        "quota": [_fit(fit) for fit in fits(plan)],
        "scripts": [
            {"script": one.kept, "to": one.name, "store": one.store, "activate": one.activate, "reason": one.reason}
            for one in plan.scripts
        ],
        "lost": list(plan.lost),
        "left_out": list(plan.left_out),
    }


def _fit(fit: Fit) -> dict[str, Any]:
    return {
        "root": fit.quota.root,
        "resource": fit.quota.resource.lower(),
        "needs_at_most": fit.most,
        "left": fit.quota.left,
        "verdict": fit.verdict,
    }


def _planned(mailbox: PlannedMailbox) -> dict[str, Any]:
    return {
        "mailbox": mailbox.source.name,
        "to": mailbox.name,
        "messages": mailbox.source.messages,
        "create": mailbox.create,
        "subscribe": mailbox.subscribe,
        "reason": mailbox.reason,
        "acl": dict(mailbox.acl),
        "metadata": [entry for entry, _ in mailbox.metadata],
    }


def _tell_troubles(report: RestoreReport) -> None:
    lines = [f"altered: {_where(report, a.mailbox, a.uid)}: {a.what}" for a in report.altered]
    lines += [f"missing: {_where(report, f.mailbox, f.uid)}: {f.reason}" for f in report.failures if f.mailbox]
    for failure in (f for f in report.failures if not f.mailbox):
        say(f"error: {report.account}: {failure.reason}")
        say("hint: mend that and run the same command again; what is there is not written twice")
    if report.over_quota:
        missing = count(report.over_quota, "message", "messages")
        say(f"error: {report.account}: the account at {report.target} is full: {missing} did not fit")
        say("hint: raise its quota and run the same command again; what is there is not written twice")
    for line in lines[:SHOWN]:
        say(line)
    if len(lines) > SHOWN:
        say(f"and {count(len(lines) - SHOWN, 'more', 'more')}: --json lists them all")


def _where(report: RestoreReport, mailbox: str, uid: int | None) -> str:
    message = f", UID {uid}" if uid is not None else ""
    return ", ".join(filter(None, (report.account, mailbox))) + message
