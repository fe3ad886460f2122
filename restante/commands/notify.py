"""`restante notify`."""

from __future__ import annotations

import platform
from typing import Annotated, Any

import typer

from restante.errors import Exit, UsageTrouble
from restante.options import ConfigOption, JsonOption, VaultOption
from restante.output import print_json, print_line, say
from restante.telling.channels import NotSent, channels_of
from restante.telling.plan import NoticePlan
from restante.telling.teller import Outcome, Teller
from restante.telling.text import over_lines, told_lines, trial
from restante.wiring import Wiring
from vault.clock import SystemClock


def notify(
    test: Annotated[bool, typer.Option("--test", help="Send a test message by every channel.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be told; tell nobody.")] = False,
    config: ConfigOption = None,
    vault: VaultOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell those whom the configuration names what is new: troubles, and what is over. Each once."""
    if test and dry_run:
        raise UsageTrouble("--test and --dry-run were both given", hint="give one of the two")
    wiring = Wiring(config, vault)
    if wiring.notify is None:
        hint = "set `notify` in the configuration of this vault; `restante config example` shows it"
        raise UsageTrouble("the configuration names nobody to tell", hint=hint)
    teller = Teller(SystemClock())
    outcomes = _tried(wiring) if test else _told(wiring, teller, dry_run=dry_run)
    lines = [_document(out, test=test, dry_run=dry_run) for out in outcomes]
    if as_json:
        print_json({"status": _status(outcomes), "channels": lines})
    else:
        _print(outcomes, test=test, dry_run=dry_run)
    if teller.lost is not None:
        raise teller.lost
    if teller.unsaved:
        say(f"error: what was told can't be remembered in the vault: {teller.unsaved}")
        say("hint: it is told again at the next occasion; this host must be able to write to the vault")
    raise typer.Exit(_code(outcomes, teller.unsaved))


def _tried(wiring: Wiring) -> list[Outcome]:
    assert wiring.loaded is not None
    message, outcomes = trial(wiring.vault_url, platform.node()), []
    for channel in channels_of(wiring.loaded):
        try:
            note = channel.send(message)
            outcomes.append(Outcome(channel.name, NoticePlan((), (), ()), error=note))  # half a test is not passed
        except NotSent as error:
            outcomes.append(Outcome(channel.name, NoticePlan((), (), ()), error=str(error)))
    return outcomes


def _told(wiring: Wiring, teller: Teller, *, dry_run: bool) -> list[Outcome]:
    if dry_run:
        return [Outcome(channel.name, plan) for channel, plan in teller.plans(wiring)]
    return teller.tell(wiring)


def _document(out: Outcome, *, test: bool, dry_run: bool) -> dict[str, Any]:
    return {
        "channel": out.channel,
        "arrived": None if dry_run or (out.plan.empty and not test) else not out.error,
        "error": out.error or None,
        "note": out.note or None,
        **_lines(out.plan),
    }


def _lines(plan: NoticePlan) -> dict[str, list[str]]:
    return {"begun": told_lines(plan.begun), "over": over_lines(plan.over)}


def _print(outcomes: list[Outcome], *, test: bool, dry_run: bool) -> None:
    for out in outcomes:
        if out.error:
            print_line(f"{out.channel}: NOT told: {out.error}")
        elif out.plan.empty and not test:
            print_line(f"{out.channel}: nothing new to tell")
        else:
            verb = "would be told" if dry_run else "taken" if test else "told"
            print_line(f"{out.channel}: {verb}{f' ({out.note})' if out.note else ''}")
        for line in [line for lines in _lines(out.plan).values() for line in lines]:
            print_line(f"  {line}")


def _status(outcomes: list[Outcome]) -> str:
    arrived = [not out.error for out in outcomes]
    return "complete" if all(arrived) else "partial" if any(arrived) else "failed"


def _code(outcomes: list[Outcome], unsaved: str) -> Exit:
    status = "partial" if unsaved and _status(outcomes) == "complete" else _status(outcomes)
    return {"complete": Exit.COMPLETE, "partial": Exit.PARTIAL, "failed": Exit.FAILED}[status]
