"""The service's figures in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Literal, NamedTuple

from restante.judging import Verdict, judge
from restante.state import JobState, State
from vault.version import VERSION

Value = float | int | None


class Metric(NamedTuple):
    """One metric: its name without `restante_`, and what it tells."""

    name: str
    help: str
    kind: Literal["gauge", "counter"] = "gauge"


ACCOUNT: dict[Metric, Callable[[Verdict], Value]] = {
    Metric("account_last_complete_timestamp_seconds", "When the newest complete snapshot was last known to stand."): (
        lambda v: _stamp(v.standing.complete)
    ),
    Metric("account_rpo_seconds", "How old the newest complete snapshot may get."): (
        lambda v: v.rpo.total_seconds() if v.rpo is not None else None
    ),
    Metric("account_late", "1 where the newest complete snapshot is older than the RPO, or there is none."): (
        lambda v: int(v.late)
    ),
    Metric("account_failing_since_timestamp_seconds", "When runs began not to go well for the account, or 0."): (
        lambda v: _stamp(v.standing.failing_since) or 0
    ),
    Metric("account_failures", "What could not be read, by the newest snapshot."): (
        lambda v: len(v.standing.newest.failures) if v.standing.newest else None
    ),
    Metric("account_messages", "Messages in the newest snapshot."): (
        lambda v: v.standing.newest.messages if v.standing.newest else None
    ),
    Metric("account_bytes", "Octets of mail in the newest snapshot."): (
        lambda v: v.standing.newest.octets if v.standing.newest else None
    ),
}
JOB: dict[Metric, Callable[[State, JobState], Value]] = {
    Metric("job_running", "1 while the job runs."): lambda _, job: int(job.running_since is not None),
    Metric("job_next_run_timestamp_seconds", "When the job runs next."): lambda _, job: _stamp(job.next_run),
    Metric("job_last_run_timestamp_seconds", "When the job's last run ended."): (
        lambda state, job: _stamp(state.history.jobs[job.name].finished) if job.name in state.history.jobs else None
    ),
    Metric("job_last_run_seconds", "How long the job's last run took."): (
        lambda state, job: _seconds(state, job.name) if job.name in state.history.jobs else None
    ),
}
JOB_STATUS = Metric("job_last_run_status", "1 for the status that the job's last run ended with.")
JOB_RUNS = Metric("job_runs_total", "Runs of the job since the service started.", "counter")
JOB_FIGURE = Metric("job_figure", "What the job's last run since the service started counted.")
BUILD = Metric("build_info", "1, with the version.")
ALIVE = Metric("alive", "1 while the schedule moves on.")
ACCOUNTS = Metric("accounts", "Accounts of the configuration.")
LATE = Metric("accounts_late", "Accounts that are over their RPO.")
LOOKED = Metric("vault_looked_timestamp_seconds", "When these figures were last read from the vault.")

DRILL = Metric("drill_timestamp_seconds", "When the last drill ended.")
RTO = Metric("drill_rto_seconds", "How long restoring the whole vault would take, by the last drill.")

WAITING = Metric("notices_waiting", "What could not be told by a channel of `notify` yet.")
UNHEARD = Metric("notify_failures_total", "Messages that did not arrive since the service started.", "counter")

METRICS = (
    *ACCOUNT, *JOB, JOB_STATUS, JOB_RUNS, JOB_FIGURE, BUILD, ALIVE, ACCOUNTS, LATE, LOOKED, DRILL, RTO,
    WAITING, UNHEARD,
)  # fmt: skip
"""All that there are."""


def exposition(state: State, now: datetime) -> str:
    """Return the service's figures."""
    return "".join(f"{line}\n" for line in _lines(state, now))


def _lines(state: State, now: datetime) -> Iterator[str]:
    verdicts = judge(state.accounts, state.history, now)
    yield from _family(BUILD, [({"version": VERSION}, 1)])
    yield from _family(ALIVE, [({}, int(state.alive))])
    yield from _family(LOOKED, [({}, _stamp(state.looked))])
    yield from _family(ACCOUNTS, [({}, len(verdicts))])
    yield from _family(LATE, [({}, sum(verdict.late for verdict in verdicts))])
    drill = state.history.drill
    yield from _family(DRILL, [({}, _stamp(drill.finished if drill else None))])
    yield from _family(RTO, [({}, drill.drill.rto if drill and drill.drill else None)])
    yield from _family(WAITING, [({"channel": name}, number) for name, number in state.waiting.items()])
    yield from _family(UNHEARD, [({"channel": name}, number) for name, number in state.unheard.items()])
    for metric, value in ACCOUNT.items():
        yield from _family(metric, [({"account": verdict.account}, value(verdict)) for verdict in verdicts])
    for metric, of_job in JOB.items():
        yield from _family(metric, [(_labels(job), of_job(state, job)) for job in state.jobs])
    last = {job.name: state.history.jobs.get(job.name) for job in state.jobs}
    yield from _family(
        JOB_STATUS, [(_labels(job) | {"status": run.status}, 1) for job in state.jobs if (run := last[job.name])]
    )
    yield from _family(
        JOB_RUNS, [(_labels(job) | {"status": how}, times) for job in state.jobs for how, times in job.runs.items()]
    )
    yield from _family(
        JOB_FIGURE, [(_labels(job) | {"figure": name}, n) for job in state.jobs for name, n in job.figures.items()]
    )


def _labels(job: JobState) -> dict[str, str]:
    return {"job_name": job.name, "does": job.does}


def _seconds(state: State, job: str) -> float:
    run = state.history.jobs[job]
    return (run.finished - run.started).total_seconds()


def _stamp(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment is not None else None


def _family(metric: Metric, samples: list[tuple[dict[str, str], Value]]) -> Iterator[str]:
    yield f"# HELP restante_{metric.name} {metric.help}"
    yield f"# TYPE restante_{metric.name} {metric.kind}"
    for labels, value in samples:
        if value is not None:
            inner = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            yield f"restante_{metric.name}{f'{{{inner}}}' if inner else ''} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
