"""A process that reads accounts for a job that another process leads (backup/hands.py)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from backup.account import AccountRun
from backup.budget import Budget
from backup.model import BackupOptions, SourceAccount
from imap.model import Login
from vault.calls import Calls, ignore_signals
from vault.claims import Claims
from vault.filler import Filler
from vault.ids import ObjectName
from vault.keys import KeyRing
from vault.stores.lent import LentStore
from vault.vault import Vault, open_with

_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Errand:
    """An account to be read, without its login."""

    number: int
    source: SourceAccount
    oauth: bool
    renews: bool
    budget: Budget | None
    wary: bool


@dataclass(frozen=True, slots=True)
class Outset:
    """All that a hand has to know from the start."""

    url: str
    ring: KeyRing = field(repr=False)
    cache: Path | None
    options: BackupOptions
    claims: Claims


class _NotPublished(Exception):
    """What was made durable here is named by no index."""


class _HandFiller(Filler):
    """Fills packs; the process which started us publishes them, and puts what fills none."""

    def __init__(
        self, calls: Calls, vault: Vault, store: LentStore, outset: Outset, **gone: frozenset[ObjectName]
    ) -> None:
        super().__init__(vault, store, outset.options.limits, claims=outset.claims, **gone)
        self._calls = calls

    def flush(self) -> None:
        """Have all hands flushed, this one too."""
        self._calls.ask("flush")


class _Since:
    """Progress since it was last told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}

    def expect(self, account: str, messages: int, octets: int) -> None:
        """Note what there is to do."""
        self._add("expect", account, messages, octets)

    def advance(self, account: str, messages: int, octets: int) -> None:
        """Note what is done."""
        self._add("advance", account, messages, octets)

    def _add(self, what: str, account: str, messages: int, octets: int) -> None:
        with self._lock:
            before = self._counts.get((what, account), (0, 0))
            self._counts[what, account] = (before[0] + messages, before[1] + octets)

    def take(self) -> list[tuple[str, str, int, int]]:
        """Return it, and begin anew."""
        with self._lock:
            counts, self._counts = self._counts, {}
        return [(*what, *numbers) for what, numbers in counts.items()]


class _Work:
    """What a hand has under way, and what it is asked to do."""

    def __init__(self, outset: Outset, pipe: Connection, lent: Sequence[Connection]) -> None:
        self._outset = outset
        self._store = LentStore(outset.url, lent)
        self._progress = _Since()
        self._stop = threading.Event()
        self._runs: dict[int, AccountRun] = {}
        self._held = ExitStack()
        self.calls = Calls(pipe, self._doing(), partial(os._exit, 1))

    def pulse(self) -> None:
        """Tell what was done, now and then."""
        while True:
            time.sleep(_LOOK_SECONDS)
            self.calls.begin("packs waiting", self._filler.packs_waiting)
            self._tell_progress()

    def _tell_progress(self) -> None:
        for one in self._progress.take():
            self.calls.begin(*one)

    def _doing(self) -> dict[str, Callable[..., object]]:
        """What the process that started us may ask."""
        return {
            "start": self._start,
            "take": self._take,
            "run": self._run,
            "capture": lambda number: self._runs[number].capture(),
            "abort": lambda number: self._runs[number].abort(),
            "report": lambda number, snapshot: self._runs[number].report(snapshot),
            "settle": lambda: self._held.enter_context(self._filler.settled()),
            "published": self._published,
            "give up": self._give_up,
            "stop": self._stop.set,
        }

    def _published(self) -> set[ObjectName]:
        """Go on, knowing what the index in the cache tells by now; return the index objects that say so."""
        with self._held:
            self._vault.index.sort_in()
            return self._vault.index.objects()

    def _give_up(self) -> None:
        """Hold nobody up any longer: what was settled could not be published, and the run is about to fail."""
        with suppress(_NotPublished), self._held:
            raise _NotPublished

    def _start(self, vanished: frozenset[ObjectName], condemned: frozenset[ObjectName]) -> set[ObjectName]:
        """Learn what the vault holds; return the index objects that say so."""
        outset = self._outset
        self._vault = open_with(self._store, outset.ring, outset.cache)
        self._vault.refresh()
        self._filler = _HandFiller(self.calls, self._vault, self._store, outset, vanished=vanished, condemned=condemned)
        threading.Thread(target=self.pulse, name="pulse", daemon=True).start()
        return self._vault.index.objects()

    def _run(self, number: int) -> None:
        self._runs[number].run(lambda: None)  # checkpoints are for the process that started us
        self._tell_progress()

    def _take(self, errand: Errand) -> None:
        number = errand.number
        login = Login(
            partial(self.calls.ask, "secret", number),
            errand.oauth,
            partial(self.calls.ask, "renew", number) if errand.renews else None,
        )
        self._runs[number] = AccountRun(
            replace(errand.source, login=login),
            self._vault,
            self._filler,
            self._outset.options,
            self._progress,
            self._stop,
            budget=errand.budget,
            wary=errand.wary,
        )


def work(outset: Outset, pipe: Connection, lent: Sequence[Connection]) -> None:
    """Read accounts until the process that started us ends us, or is gone itself."""
    ignore_signals()
    outset.options.prepare()
    _Work(outset, pipe, lent).calls.listen()
