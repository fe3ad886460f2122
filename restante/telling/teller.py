"""Looks how things stand, tells each channel what it does not know yet, and remembers that in the vault."""

from __future__ import annotations

import platform
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, cast

from restante.errors import UsageTrouble, tell
from restante.history import read_history
from restante.telling.channels import Channel, NotSent, channels_of
from restante.telling.plan import Key, NoticePlan, Trouble, What, plan_notices
from restante.telling.text import compose
from restante.telling.troubles import Scene, States, late_states, states_of
from restante.wiring import Wiring
from vault.clock import Clock
from vault.errors import Trouble as Mishap
from vault.records import RunRecord, ToldTrouble, rfc3339, write_run
from vault.tombstones import read_graveyard
from vault.version import TOOL

Told = Mapping[str, tuple[Trouble, ...]]
"""What stands as told, by channel."""
REACH = Key("reach", "")
UNSEEN = (Mishap, OSError, sqlite3.Error)
"""What keeps us from looking at a vault, or from writing into it."""


class Outcome(NamedTuple):
    """How telling one channel went; `error` is empty where it arrived, `note` says what is odd all the same."""

    channel: str
    plan: NoticePlan
    error: str = ""
    note: str = ""


def unreachable(error: Exception, now: datetime) -> Trouble:
    """Return the trouble that the vault can't be opened or reached."""
    told = tell(error)[0] if isinstance(error, Mishap) else None
    detail = f"The error: {told.message}" if told else f"The error: {type(error).__name__}"
    return Trouble(REACH, "failed", now, detail, told.hint if told else "")


@dataclass
class Teller:
    """Tells what is new. For one thread; one that lives longer remembers what the vault could not be told.

    `patience` is since when an account that was never backed up completely is waited for. After telling, `waiting`
    counts what each channel lacks, `unsaved` says why the vault could not be told, and `lost` why it was not seen.
    """

    clock: Clock
    patience: datetime | None = None
    lasting: bool = False
    waiting: dict[str, int] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    unsaved: str = ""
    lost: Exception | None = None
    _scene: Scene | None = None
    _told: Told | None = None
    _stored: Told | None = None

    def plans(self, wiring: Wiring, reach: Trouble | None = None) -> list[tuple[Channel, NoticePlan]]:
        """Look at the vault, and plan for each channel what it should hear now. Never raises what UNSEEN names."""
        notify = wiring.notify
        if notify is None or wiring.loaded is None:
            return []
        states, told = self._states(wiring, reach), self._told or {}
        return [(way, plan_notices(states, told.get(way.name, ()), notify.about)) for way in channels_of(wiring.loaded)]

    def _states(self, wiring: Wiring, reach: Trouble | None) -> States:
        now, self.lost = self.clock.now(), None
        try:
            self._scene = scene = read_scene(wiring, self.patience)
        except UNSEEN as error:
            self.lost, self._stored = error, None
            late = late_states(self._scene, now) if self._scene is not None else {}
            lost = reach or (None if self.lasting else unreachable(error, now))
            return {**late, **({REACH: lost} if lost else {})}
        self._stored = told_in(scene.runs)
        if self._told is None:
            self._told = self._stored
        return {**states_of(scene, now), REACH: None}

    def tell(self, wiring: Wiring, reach: Trouble | None = None) -> list[Outcome]:
        """Tell every channel what it does not know yet; what did not arrive is told at the next occasion.

        `reach` is why a job could not work with the vault; it counts only while the vault can't be looked at either.
        """
        plans = self.plans(wiring, reach)
        outcomes = [_sent(wiring, channel, plan, self._remembers) for channel, plan in plans]
        arrived = {out.channel: out.plan.told for out in outcomes if not out.error}
        after = {**(self._told or {}), **arrived}
        self.waiting = {o.channel: o.plan.size if o.error else 0 for o in outcomes}
        self.failures.update({out.channel: bool(out.error) for out in outcomes})
        self._told = after
        if self._stored is not None:
            self._remember(wiring, self._stored)
        return outcomes

    def _remember(self, wiring: Wiring, stored: Told) -> None:
        """Write down what changed, and forget it here: others may write there too. Keep it where that fails."""
        told, self.unsaved = self._told or {}, ""
        try:
            if _states_told(told) != _states_told(stored):
                write_told(wiring, told, self.clock.now())
            self._told = None
        except UNSEEN as error:
            self.unsaved = str(error)

    @property
    def _remembers(self) -> bool:
        return self.lasting or self._stored is not None


def _sent(wiring: Wiring, channel: Channel, plan: NoticePlan, remembered: bool) -> Outcome:
    if plan.empty:
        return Outcome(channel.name, plan)
    message = compose(plan, wiring.vault_url, platform.node(), remembered=remembered)
    try:
        return Outcome(channel.name, plan, note=channel.send(message))
    except NotSent as error:
        return Outcome(channel.name, plan, str(error))


def read_scene(wiring: Wiring, patience: datetime | None = None) -> Scene:
    """Read all that there is to judge by. Raises what UNSEEN names."""
    vault = wiring.vault
    try:
        promised = wiring.promised()
    except UsageTrouble:
        promised = {}  # where a server's users can't be listed, nobody is late or gone
    history = read_history(vault, promised, wiring.job_names)
    census = read_graveyard(wiring.store, vault.ring).census
    suspended = {account: one.suspended for account, one in census.accounts.items()} if census else {}
    return Scene(history, list(vault.runs()), promised, wiring.job_names, suspended, patience)


def told_in(runs: Sequence[RunRecord]) -> Told:
    """Return what the newest record of being told says."""
    newest = next((run.told for run in runs if run.kind == "notify" and run.told is not None), {})
    return {channel: tuple(_trouble(one) for one in told) for channel, told in newest.items()}


def _trouble(told: ToldTrouble) -> Trouble:
    key = Key(told.topic, told.subject)  # type: ignore[arg-type]  # another version may know more topics
    return Trouble(key, cast("What", told.what), datetime.fromisoformat(told.since))


def write_told(wiring: Wiring, told: Told, now: datetime) -> None:
    """Remember in the vault what was told. Raises StoreError."""
    body = {
        channel: tuple(ToldTrouble(*one.key, one.what, rfc3339(one.since)) for one in troubles)
        for channel, troubles in told.items()
    }
    when = rfc3339(now)
    record = RunRecord(started=when, finished=when, accounts=(), tool=TOOL, kind="notify", status="complete", told=body)
    write_run(wiring.store, wiring.vault.ring, record)


def _states_told(told: Told) -> dict[str, set[tuple[Key, str]]]:
    return {channel: {(one.key, one.what) for one in troubles} for channel, troubles in told.items() if troubles}
