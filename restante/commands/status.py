"""`restante status`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import typer

from restante.errors import Exit
from restante.history import History, LastRun, read_history
from restante.judging import Verdict, judge
from restante.options import ConfigOption, JsonOption, VaultOption
from restante.output import count, duration, print_json, print_line, print_table, size, utc
from restante.wiring import Wiring
from vault.clock import SystemClock


def status(config: ConfigOption = None, vault: VaultOption = None, as_json: JsonOption = False) -> None:
    """Tell how old each account's newest complete snapshot is. Exit code 1 when one is older than its RPO."""
    wiring = Wiring(config, vault)
    promised = wiring.promised()
    history = read_history(wiring.vault, promised, wiring.job_names)
    # An account that left the configuration keeps its snapshots; nobody promises anything for it.
    known = promised | dict.fromkeys(sorted(history.accounts.keys() - promised.keys()))
    verdicts = judge(known, history, SystemClock().now())
    late = sum(verdict.late for verdict in verdicts)
    untold = _not_told(wiring)
    if as_json:
        print_json({**_document(verdicts, history), "not_told": untold})
    else:
        _print(verdicts, history)
        for channel, number in untold.items():
            print_line(f"{channel}: {count(number, 'thing is', 'things are')} not told yet")
    raise typer.Exit(Exit.PARTIAL if late else Exit.COMPLETE)


def _not_told(wiring: Wiring) -> dict[str, int]:
    """Return how much each channel was not told yet: its messages don't arrive, or nobody has looked since."""
    if wiring.notify is None:
        return {}
    from restante.telling.teller import Teller

    plans = Teller(SystemClock()).plans(wiring)
    return {channel.name: plan.size for channel, plan in plans if not plan.empty}


def _document(verdicts: list[Verdict], history: History) -> dict[str, Any]:
    return {
        "status": "late" if any(verdict.late for verdict in verdicts) else "complete",
        "accounts": [_account_document(verdict) for verdict in verdicts],
        "jobs": [_job_document(run) for run in history.jobs.values()],
        "drill": _drill_document(history.drill) if history.drill is not None else None,
    }


def _account_document(verdict: Verdict) -> dict[str, Any]:
    standing, newest = verdict.standing, verdict.standing.newest
    return {
        "account": verdict.account,
        "id": standing.id,
        "late": verdict.late,
        "last_complete": utc(standing.complete),
        "age": _seconds(verdict.age),
        "rpo": _seconds(verdict.rpo),
        "snapshot": newest.id if newest else None,
        "messages": newest.messages if newest else 0,
        "bytes": newest.octets if newest else 0,
        "last_run": standing.status or None,
        "failing_since": utc(standing.failing_since),
        "failures": [{"mailbox": f.mailbox, "uid": f.uid, "reason": f.reason} for f in newest.failures]
        if newest
        else [],
    }


def _job_document(run: LastRun) -> dict[str, Any]:
    return {
        "job": run.job,
        "does": run.kind,
        "started": utc(run.started),
        "finished": utc(run.finished),
        "status": run.status,
    }


def _drill_document(run: LastRun) -> dict[str, Any]:
    rto = run.drill.rto if run.drill is not None else None
    return {"finished": utc(run.finished), "status": run.status, "rto_seconds": rto}


def _seconds(span: timedelta | None) -> int | None:
    return round(span.total_seconds()) if span is not None else None


def _print(verdicts: list[Verdict], history: History) -> None:
    columns = ("account", "last complete", "age", "rpo", "messages", "size", "failures", "last run", "id")
    print_table(columns, [_row(verdict) for verdict in verdicts], numeric=("age", "rpo", "messages", "size"))
    print_line()
    for run in history.jobs.values():
        took = duration((run.finished - run.started).total_seconds())
        print_line(f"job {run.job} ({run.kind}): {run.status} at {utc(run.finished)}, in {took}")
    if history.drill is not None and history.drill.drill is not None:
        rto = history.drill.drill.rto
        took = f", the whole vault would be back in {duration(rto)}" if rto is not None else ""
        print_line(f"last drill: {history.drill.status} at {utc(history.drill.finished)}{took}")
    late = [verdict for verdict in verdicts if verdict.late]
    if late:
        print_line(f"{count(len(late), 'account is', 'accounts are')} over the RPO: {_examples(late)}")
    else:
        print_line("No account is over its RPO.")


def _row(verdict: Verdict) -> tuple[str, ...]:
    standing, newest = verdict.standing, verdict.standing.newest
    failing = f", not well since {utc(standing.failing_since)}" if standing.failing_since else ""
    return (
        verdict.account,
        utc(standing.complete) or "never",
        _span(verdict.age) + (" late" if verdict.late else ""),
        _span(verdict.rpo),
        f"{newest.messages:,}" if newest else "0",
        size(newest.octets if newest else 0),
        str(len(newest.failures) if newest else 0),
        (standing.status or "none") + failing,
        standing.id[:12],
    )


def _span(span: timedelta | None) -> str:
    return "–" if span is None else duration(round(span.total_seconds())).replace(".0 s", " s")


def _examples(late: list[Verdict]) -> str:
    more = f" and {len(late) - 5:,} more" if len(late) > 5 else ""
    return ", ".join(verdict.account for verdict in late[:5]) + more
