"""Processes that read accounts for one job: one interpreter keeps little more than one processor busy.

Each hand reads some of the accounts and fills packs of its own. What it wants of the store it has from this process,
which puts what fills no pack into shared ones, publishes all of it and writes snapshots. It gives a hand a login's
secret as a connection is made, and of keys only those that a backup needs. A hand that dies ends the job: what others
have stored may rely on what it had taken on itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import count
from multiprocessing import get_context
from typing import Self

import msgspec

from backup.budget import Budget
from backup.hand import Errand, Outset, work
from backup.model import AccountReport, BackupOptions, SourceAccount
from imap.model import Login
from vault.calls import Calls, ProcessLost, sheltered
from vault.claims import Claims
from vault.clock import Progress
from vault.filler import Settled
from vault.ids import SnapshotId
from vault.stores.base import WriteStore
from vault.stores.lent import lend
from vault.vault import Vault
from vault.writer import SnapshotDraft, VaultWriter

_STORE_CALLS_AT_ONCE = 4
_LOOK_SECONDS = 0.2


class Hands:
    """The hands of one job, started with it, ended with it."""

    def __init__(
        self,
        processes: int,
        vault: Vault,
        store: WriteStore,
        options: BackupOptions,
        progress: Progress,
        stop: threading.Event,
    ) -> None:
        self._start = partial(_Hand, store=store, progress=progress, lost=self._end)
        self._processes = processes
        self._vault = vault
        self._options = options
        self._stop = stop
        self._numbers = count()
        self._lock = threading.Lock()
        self._hands: list[_Hand] = []

    def __enter__(self) -> Self:
        """Start them. Raises ProcessLost."""
        ring = replace(self._vault.ring, private={})  # no hand needs to read mail
        try:
            self._claims = Claims()  # held here: it ends with whoever made it
            outset = Outset(self._vault.store.url, ring, self._vault.cache, self._shared(), self._claims)
            for _ in range(self._processes):
                self._hands.append(self._start(outset))
        except BaseException as error:
            self._end()
            if isinstance(error, OSError | RuntimeError):  # the latter where no thread can be started
                hint = "`limits.processes: 1` does without"
                why = error.strerror if isinstance(error, OSError) else error
                raise ProcessLost(f"no process can be started here: {why}", hint=hint) from None
            raise
        return self

    def _shared(self) -> BackupOptions:
        """Return the options for each: pages of all come together in this process's memory before they are written."""
        limits = self._options.limits
        limits = msgspec.structs.replace(limits, meta=limits.meta // self._processes)
        return replace(self._options, limits=limits)

    def help(self, writer: VaultWriter) -> None:
        """Have all of them fill the vault beside a writer. Raises what went wrong in one of them."""
        lost, condemned = frozenset(writer.vanished), frozenset(writer.condemned)
        for hand in self._hands:
            hand.writer = writer
        for starting in [hand.calls.begin("start", lost, condemned) for hand in self._hands]:
            writer.rely_on(starting.result())
        writer.beside += self._hands

    def run(self, source: SourceAccount, budget: Budget | None, *, wary: bool) -> HandRun:
        """Return an account that one of the hands will read."""
        bare = replace(source, login=Login(_no_login))
        login = source.login
        errand = Errand(next(self._numbers), bare, login.oauth, login.renew is not None, budget, wary)
        return HandRun(source, errand, self, self._stop)

    def least_busy(self) -> _Hand:
        """Return the hand that has the fewest accounts under way, with one more."""
        with self._lock:
            hand = min(self._hands, key=lambda hand: hand.busy)
            hand.busy += 1
            return hand

    def done(self, hand: _Hand) -> None:
        """Note that a hand has one account less under way."""
        with self._lock:
            hand.busy -= 1

    def __exit__(self, *_: object) -> None:
        """End all hands. What they have not made durable is lost, which harms nothing."""
        self._end()
        for hand in self._hands:
            hand.process.join()

    def _end(self) -> None:
        # One that died may have left the claims locked, and the others waiting.
        for hand in self._hands:
            hand.process.kill()


class _Hand:
    """One such process, seen from here."""

    def __init__(self, outset: Outset, store: WriteStore, progress: Progress, lost: Callable[[], None]) -> None:
        self.busy = 0
        self.packs_waiting = 0
        self.logins: dict[int, Login] = {}
        self.writer: VaultWriter
        self._progress = progress
        context = get_context("spawn")
        pipe, theirs = context.Pipe()
        lent = [context.Pipe() for _ in range(_STORE_CALLS_AT_ONCE)]
        self.process = context.Process(
            target=work, args=(outset, theirs, [their for _, their in lent]), name="hand", daemon=True
        )
        self.calls = Calls(pipe, self._doing(), lost)
        with sheltered():
            self.process.start()
        try:
            for their in (theirs, *(their for _, their in lent)):
                their.close()
            for ours, _ in lent:
                threading.Thread(target=lend, args=(store, ours), name="lend", daemon=True).start()
            threading.Thread(target=self.calls.listen, name="hand", daemon=True).start()
        except BaseException:
            self.process.kill()
            raise

    @contextmanager
    def settled(self) -> Iterator[Settled]:
        """Have it make durable or hand over what it was given, and add nothing more until an index names that."""
        settled: list[Settled] = [self.calls.ask("settle")]
        try:
            yield settled.pop()  # which is large, and kept nowhere else
        except BaseException:
            self.calls.ask("give up")
            raise
        self.packs_waiting = 0
        self.writer.rely_on(self.calls.ask("published"))

    def _doing(self) -> dict[str, Callable[..., object]]:
        """What it may ask of this process."""
        return {
            "secret": lambda number: self.logins[number].secret(),
            "renew": self._renew,
            "flush": lambda: self.writer.flush(),  # noqa: PLW0108 the writer comes later
            "expect": self._progress.expect,
            "advance": self._progress.advance,
            "packs waiting": partial(setattr, self, "packs_waiting"),
        }

    def _renew(self, number: int) -> str:
        renew = self.logins[number].renew
        assert renew is not None  # else nobody asks
        return renew()


class HandRun:
    """An account under way in a hand; to the job like an AccountRun."""

    def __init__(self, source: SourceAccount, errand: Errand, hands: Hands, stop: threading.Event) -> None:
        self.source = source
        self._errand = errand
        self._hands = hands
        self._stop = stop
        self._lock = threading.Lock()
        self._taken_by: _Hand | None = None

    @property
    def _hand(self) -> _Hand:
        """Whoever reads it, chosen when that is first asked."""
        with self._lock:
            if self._taken_by is None:
                hand = self._hands.least_busy()
                hand.logins[self._errand.number] = self.source.login
                hand.calls.ask("take", self._errand)
                self._taken_by = hand
            return self._taken_by

    def run(self, checkpoint: Callable[[], None]) -> None:
        """Have the account read to its end, or as far as possible; `checkpoint` is called now and then meanwhile."""
        hand, told = self._hand, False
        done = hand.calls.begin("run", self._errand.number)
        while not wait([done], _LOOK_SECONDS).done:
            if self._stop.is_set() and not told:
                hand.calls.ask("stop")
                told = True
            checkpoint()
        self._hands.done(hand)
        done.result()

    def capture(self) -> SnapshotDraft | None:
        """Return the account's snapshot as it would be now; None where nothing changed since the last one."""
        draft: SnapshotDraft | None = self._hand.calls.ask("capture", self._errand.number)
        return draft

    def abort(self) -> None:
        """Stop waiting for the server; called from another thread once the job is told to stop."""
        with suppress(ProcessLost):
            self._hand.calls.ask("stop")
            self._hand.calls.ask("abort", self._errand.number)

    def report(self, snapshot: SnapshotId | None) -> AccountReport:
        """Say what became of the account; `snapshot` is the one that stands for it now."""
        report: AccountReport = self._hand.calls.ask("report", self._errand.number, snapshot)
        return report


def _no_login() -> str:
    raise AssertionError("logins stay in the process that was given them")
