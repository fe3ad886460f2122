"""The service: runs the jobs of the configuration at their times, until it is told to leave."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Literal

import structlog

from backup.turns import Turns
from restante.config import Job
from restante.errors import Exit, UsageTrouble
from restante.history import History, read_history
from restante.kinds import Result, Task, run_task
from restante.locking import prove_or_log
from restante.logs import why
from restante.notifying import ping, step_of
from restante.recording import record_run
from restante.schedule import first_time, trigger_of
from restante.state import JobState, State
from restante.telling.plan import Trouble
from restante.telling.teller import Outcome, Teller, unreachable
from restante.wiring import Wiring
from vault.clock import Clock, SystemClock
from vault.records import rfc3339
from vault.version import VERSION

if TYPE_CHECKING:
    from apscheduler.events import JobSubmissionEvent
    from apscheduler.schedulers.background import BackgroundScheduler

LEAVE_SECONDS = 8.0
BEAT_SECONDS, LOOK_SECONDS, ALIVE_SECONDS, CLOCK_SECONDS = 10, 900, 60, 60
# No job of a configuration can be called so.
_BEAT, _LOOK = "\nbeat", "\nlook"


@dataclass(slots=True)
class _Seen:
    """What this process has seen of one job."""

    since: datetime | None = None
    runs: Counter[str] = field(default_factory=Counter)
    figures: Mapping[str, int | float] = field(default_factory=dict)


def ready(wiring: Wiring) -> Wiring:
    """Return a wiring with all that can be wrong at the start found wrong now. Raises Trouble, ImapError."""
    if not scheduled(wiring):
        hint = "give a job a `schedule` (e.g. `every: 1h`); `restante config example` shows one"
        raise UsageTrouble("no job of the configuration has a schedule", hint=hint)
    for job in scheduled(wiring):
        if job.does == "backup":
            wiring.accounts([], job.name)
        if job.does == "copy":
            for replica in wiring.replicas:
                wiring.replica(replica.name)
    prove_or_log(wiring, SystemClock())
    reads_mail = wiring.vault.can_read_mail
    wiring.close()
    blind = [job.name for job in scheduled(wiring) if job.does == "drill"]
    if blind and not reads_mail:
        hint = "open the vault with a passphrase or a full key file, or drill on another host"
        raise UsageTrouble(f"job {blind[0]} can't drill with a key that does not read mail", hint=hint)
    return wiring


def scheduled(wiring: Wiring) -> list[Job]:
    """Return the jobs that run by themselves."""
    jobs = wiring.loaded.config.jobs if wiring.loaded is not None else []
    return [job for job in jobs if job.schedule is not None]


class Service:
    """Runs jobs. `heard` may be called from any thread; `run` returns once it was told to leave."""

    def __init__(self, wiring: Wiring, clock: Clock) -> None:
        from apscheduler.events import EVENT_JOB_MAX_INSTANCES
        from apscheduler.executors.pool import ThreadPoolExecutor
        from apscheduler.schedulers.background import BackgroundScheduler

        self._clock = clock
        self._log = structlog.get_logger()
        self._orders: SimpleQueue[Literal["reload", "leave"]] = SimpleQueue()
        self._changed = threading.Condition()
        self._stops: dict[str, threading.Event] = {}
        self._seen: dict[str, _Seen] = {}
        self._leaving = False
        self._reloading = threading.Lock()
        self._time = clock.now(), time.monotonic()
        self._beat = time.monotonic()
        self._jobs: dict[str, Job] = {}
        self._bounds: tuple[int, int | None, dict[str, int]] | None = None
        self._teller = Teller(clock, patience=clock.now(), lasting=True)
        self._reach: Trouble | None = None
        self._occasion = threading.Event()
        self._adopt(wiring, self._read(wiring))
        self._scheduler: BackgroundScheduler = BackgroundScheduler(
            timezone="UTC",
            executors={"default": ThreadPoolExecutor(64)},
            job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None},
        )
        self._scheduler.add_listener(self._skipped, EVENT_JOB_MAX_INSTANCES)

    def heard(self, number: int) -> None:
        """Take a signal: SIGHUP reloads, SIGINT and SIGTERM leave, and the second of them leaves at once."""
        if number == signal.SIGHUP:
            self._orders.put("reload")
        elif self._leaving:
            os._exit(Exit.INTERRUPTED)
        else:
            self._leaving = True
            self._orders.put("leave")

    def run(self) -> Exit:
        """Run jobs until told to leave; return COMPLETE, or INTERRUPTED where a job was under way."""
        self._schedule({})
        self._scheduler.start()
        # A thread of its own, and a daemon: a mail server that is silent keeps no job waiting, and nobody from leaving.
        threading.Thread(target=self._tell, name="telling", daemon=True).start()
        self._occasion.set()
        self._log.info("service started", version=VERSION, jobs=len(self._jobs), accounts=len(self._accounts))
        while (order := self._next_order()) != "leave":
            if order == "reload":
                # Not in this thread: a new vault that does not answer must not keep us from leaving.
                threading.Thread(target=self._reload, name="reload", daemon=True).start()
            self._mind_the_clock()
        return self._leave()

    def _next_order(self) -> str:
        try:
            return self._orders.get(timeout=BEAT_SECONDS)
        except Empty:
            return ""

    def _mind_the_clock(self) -> None:
        """Plan anew when the clock was put back: what was planned by the old time would be silent until then."""
        (now, elapsed), before = (self._clock.now(), time.monotonic()), self._time
        self._time = now, elapsed
        if (now - before[0]).total_seconds() - (elapsed - before[1]) < -CLOCK_SECONDS:
            self._log.warning("the clock was put back, jobs are planned anew")
            self._schedule({})

    def state(self) -> State:
        """Say how things stand."""
        with self._changed:
            jobs = tuple(self._job_state(job) for job in self._jobs.values())
            alive = time.monotonic() - self._beat < ALIVE_SECONDS
            waiting, unheard = dict(self._teller.waiting), dict(self._teller.failures)
            return State(self._accounts, self._history, self._looked, jobs, alive, waiting, unheard)

    def _job_state(self, job: Job) -> JobState:
        seen, planned = self._seen.setdefault(job.name, _Seen()), self._scheduler.get_job(job.name)
        due = getattr(planned, "next_run_time", None)
        return JobState(job.name, job.does, seen.since, due, dict(seen.runs), seen.figures)

    # The configuration

    def _adopt(self, wiring: Wiring, history: History) -> None:
        with self._changed:
            self._wiring, self._history, self._looked = wiring, history, self._clock.now()
            self._accounts = wiring.promised()
            self._jobs = {job.name: job for job in scheduled(wiring)}
            bounds = (wiring.limits.accounts_at_once, wiring.limits.accounts_per_server, wiring.accounts_of)
            if bounds != self._bounds:  # jobs under way go on counting in the turns that they have
                self._bounds, self._turns = bounds, Turns(*bounds)

    def _schedule(self, before: Mapping[str, Job]) -> None:
        """Plan every job that is not planned as it should be already."""
        for name, work, seconds in ((_BEAT, self._on_beat, BEAT_SECONDS), (_LOOK, self._look_again, LOOK_SECONDS)):
            self._scheduler.add_job(work, "interval", seconds=seconds, id=name, replace_existing=True)
        for name in before.keys() - self._jobs.keys():
            self._scheduler.remove_job(name)
        for name, job in self._jobs.items():
            planned = before.get(name)
            if job.schedule is None or (planned is not None and planned.schedule == job.schedule):
                continue
            ended, now = self._history.ended.get(name), self._clock.now()
            interrupted = self._history.jobs.get(name) != ended
            first = now if interrupted else first_time(job.schedule, ended.started if ended else None, now)
            self._scheduler.add_job(
                self._run, trigger_of(job.schedule, first), [name], id=name, next_run_time=first, replace_existing=True
            )
            self._log.info("job planned", job=name, does=job.does, first=rfc3339(first))

    def _reload(self) -> None:
        try:
            with self._reloading:
                self._take_over(ready(Wiring(self._wiring.config, self._wiring.vault_option)))
        except Exception as error:  # noqa: BLE001  (whatever is wrong with the new one, the old one goes on)
            self._log.error("configuration refused, the old one stays", **why(error))

    def _take_over(self, wiring: Wiring) -> None:
        history, before, listened = self._read(wiring), dict(self._jobs), _listen(self._wiring)
        if self._leaving:
            return
        self._adopt(wiring, history)
        self._schedule(before)
        if listened != _listen(wiring):
            self._log.warning("service.listen counts from the next start")
        self._log.info("configuration reloaded", jobs=len(self._jobs), accounts=len(self._accounts))

    # The jobs

    def _run(self, name: str) -> None:
        """Run a job, called by the scheduler in a thread; nothing that it raises goes further."""
        task = self._begin(name)
        if task is None:
            return
        started, clock = self._clock.now(), time.monotonic()
        self._log.info("job started", job=name, does=task.job.does)
        ping(task.wiring.loaded, task.job, "start")
        try:
            result = run_task(task)
        except Exception as error:  # noqa: BLE001  (the service's edge: one job's trouble must not end the others)
            self._log.error("job failed", job=name, **why(error))
            result = Result("failed", error=error)
        try:
            self._conclude(task, result, started)
        except Exception as error:  # noqa: BLE001
            self._log.error("the vault can't be looked at", job=name, **why(error))
            self._reach = self._reach or unreachable(error, self._clock.now())
        finally:
            self._end(task, result)
            seconds = round(time.monotonic() - clock, 1)
            if not self._leaving:
                ping(task.wiring.loaded, task.job, step_of(result.status))
            self._log.info("job ended", job=name, status=result.status, seconds=seconds, **result.figures)
            self._occasion.set()

    def _begin(self, name: str) -> Task | None:
        with self._changed:
            job = self._jobs.get(name)
            if self._leaving or job is None:
                return None
            stop = self._stops[name] = threading.Event()
            self._seen.setdefault(name, _Seen()).since = self._clock.now()
            return Task(self._wiring.again(), job, self._history, self._turns, stop, self._clock)

    def _conclude(self, task: Task, result: Result, started: datetime) -> None:
        """Write down how the run went, and read from the vault how things stand now."""
        if not result.recorded:
            record_run(
                task.wiring, task.job.does, started, self._clock.now(), result.status,
                job=task.job.name, check=result.check, error=result.error,
            )  # fmt: skip
        if not self._leaving:
            self._look(task.wiring)

    def _end(self, task: Task, result: Result) -> None:
        task.wiring.close()
        with self._changed:
            seen = self._seen[task.job.name]
            seen.since, seen.figures = None, result.figures or seen.figures
            seen.runs[result.status] += 1
            del self._stops[task.job.name]
            self._changed.notify_all()

    def _skipped(self, event: JobSubmissionEvent) -> None:
        if event.job_id in self._jobs:
            self._log.warning("job is still running, this turn is skipped", job=event.job_id)

    # The vault

    def _read(self, wiring: Wiring) -> History:
        own = wiring.again()
        try:
            return _history(own)
        finally:
            own.close()

    def _look(self, wiring: Wiring) -> None:
        history = _history(wiring)
        self._reach = None
        with self._changed:
            if self._wiring.loaded is wiring.loaded:  # what was reloaded meanwhile has looked for itself
                self._history, self._looked = history, self._clock.now()
                self._accounts = wiring.promised()

    def _look_again(self) -> None:
        """See what others did to the vault."""
        own = self._wiring.again()
        try:
            self._look(own)
        except Exception as error:  # noqa: BLE001  (the figures tell how old they are)
            self._log.warning("the vault can't be looked at", **why(error))
        finally:
            own.close()
            self._occasion.set()

    def _tell(self) -> None:
        """Tell whoever wants to know, after each job and each look, for as long as the process lives."""
        while self._occasion.wait():
            self._occasion.clear()
            own = self._wiring.again()
            try:
                self._log_told(self._teller.tell(own, self._reach))
            except Exception as error:  # noqa: BLE001  (the next occasion tries again)
                self._log.warning("nobody was told", **why(error))
            finally:
                own.close()

    def _log_told(self, outcomes: Iterable[Outcome]) -> None:
        for out in outcomes:
            if out.error:
                self._log.warning("not told", channel=out.channel, why=out.error)
            elif not out.plan.empty:
                begun, over = len(out.plan.begun), len(out.plan.over)
                self._log.info("told", channel=out.channel, begun=begun, over=over, **_noted(out))
        if self._teller.unsaved:
            self._log.warning("what was told can't be remembered", why=self._teller.unsaved)

    def _on_beat(self) -> None:
        """Show that scheduler and threads are alive, whatever the store does."""
        self._beat = time.monotonic()

    # The end

    def _leave(self) -> Exit:
        """Let running jobs write their checkpoints, for as long as we have; never returns where one does not end."""
        self._leaving = True
        self._scheduler.shutdown(wait=False)
        with self._changed:
            under_way = list(self._stops)
            self._log.info("leaving", jobs_under_way=len(under_way))
            for stop in self._stops.values():
                stop.set()
            ended = self._changed.wait_for(lambda: not self._stops, LEAVE_SECONDS)
        if not ended:
            self._log.warning("left without a checkpoint; what the last one covers is safe", jobs=len(self._stops))
            sys.stderr.flush()
            os._exit(Exit.INTERRUPTED)
        return Exit.INTERRUPTED if under_way else Exit.COMPLETE


def _history(wiring: Wiring) -> History:
    return read_history(wiring.vault, wiring.promised(), wiring.job_names)


def _noted(outcome: Outcome) -> dict[str, str]:
    return {"note": outcome.note} if outcome.note else {}


def _listen(wiring: Wiring) -> str | None:
    return wiring.loaded.config.service.listen if wiring.loaded is not None else None
