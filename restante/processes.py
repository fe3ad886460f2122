"""Many accounts restored by several processes: one interpreter keeps little more than one processor busy.

Each process has accounts of its own, a vault of its own, and the keys and logins that it was handed over a pipe. What
it reads of a store that lies elsewhere it reads through this process, so that nothing is fetched twice.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from restante.errors import Exit
from restante.logs import tell_warnings
from restante.memory import keep_memory_small
from restante.restoring import Place, Wishes, restore_places
from restore import RestoreReport
from restore.model import RestoreFailure
from vault.calls import ignore_signals, sheltered
from vault.clock import Progress
from vault.keys import KeyRing
from vault.stores.base import ReadStore
from vault.stores.lent import LentStore, lend
from vault.stores.local import LocalStore
from vault.vault import Vault, open_with

_WORTH = 256 << 20
"""So many octets of mail take longer to restore than processes take to start."""
_READS_AT_ONCE = 4
_LOOK_SECONDS = 0.2


def processes_for(places: Sequence[Place], at_once: int, wanted: int | None) -> int:
    """Say how many processes should share the accounts: `wanted`, or one for each processor where there is much to do.

    More than one only where each has an account.
    """
    most = min(at_once, len(places))
    if wanted is None and sum(snapshot.octets for snapshot, _ in places) < _WORTH:
        return 1
    return max(1, min(most, wanted or os.cpu_count() or 1))


def shares(places: Sequence[Place], count: int) -> list[list[Place]]:
    """Share the accounts out by size, the largest first, so that all are done at about the same time."""
    found: list[list[Place]] = [[] for _ in range(count)]
    loads = [0] * count
    for place in sorted(places, key=lambda place: place[0].octets, reverse=True):
        least = loads.index(min(loads))
        found[least].append(place)
        loads[least] += place[0].octets + 1
    return found


@dataclass(frozen=True, slots=True)
class _Share:
    """All that one process has to know."""

    places: Sequence[Place]
    wishes: Wishes
    at_once: int
    url: str
    store: LocalStore | None
    ring: KeyRing = field(repr=False)
    cache: Path


def restore_in_processes(
    vault: Vault,
    places: Sequence[Place],
    wishes: Wishes,
    progress: Progress,
    stop: threading.Event,
    *,
    at_once: int,
    processes: int,
    cache: Path,
) -> list[RestoreReport]:
    """Restore many accounts by so many processes, and so many at once in all; reports in the order of the places."""
    store = vault.store if isinstance(vault.store, LocalStore) else None
    each = -(-at_once // processes)
    work = [
        _Share(share, wishes, each, vault.store.url, store, vault.ring, cache) for share in shares(places, processes)
    ]
    vault.refresh()  # once, into the cache that all of them read
    with ThreadPoolExecutor(len(work), thread_name_prefix="process") as pool:
        done = pool.map(lambda share: _Helper(share, vault.in_bulk).run(progress, stop), work)
        reports = {report.account: report for found in done for report in found}
    return [reports[snapshot.account] for snapshot, _ in places]


class _Helper:
    """One process at work, seen from here."""

    def __init__(self, share: _Share, store: ReadStore) -> None:
        context = get_context("spawn")
        self._share = share
        self._pipe, theirs = context.Pipe()
        reads = [context.Pipe() for _ in range(0 if share.store else _READS_AT_ONCE)]
        self._process: SpawnProcess = context.Process(
            target=_work, args=(share, theirs, [reader for _, reader in reads]), daemon=True
        )
        with sheltered():
            self._process.start()
        for pipe in (theirs, *(reader for _, reader in reads)):
            pipe.close()
        for pipe, _ in reads:
            threading.Thread(target=lend, args=(store, pipe), name="lend", daemon=True).start()

    def run(self, progress: Progress, stop: threading.Event) -> list[RestoreReport]:
        """Hear what the process has to say until it is done. Raises what ended it."""
        try:
            reports, error = self._hear(progress, stop)
        finally:
            self._pipe.close()
            self._process.join()
        if error is not None:
            raise error
        return reports

    def _hear(self, progress: Progress, stop: threading.Event) -> tuple[list[RestoreReport], Exception | None]:
        told = False
        while True:
            if stop.is_set() and not told:
                told = True
                with suppress(OSError):
                    self._pipe.send("stop")
            try:
                if not self._pipe.poll(_LOOK_SECONDS):
                    continue
                what, *said = self._pipe.recv()
            except (EOFError, OSError):
                return self._lost(), None
            match what:
                case "done":
                    return said[0], None
                case "raised":
                    return [], said[0]
                case "expect":
                    progress.expect(*said)
                case _:
                    progress.advance(*said)

    def _lost(self) -> list[RestoreReport]:
        """Say that a process is gone, which nothing but the system or an administrator does."""
        self._process.join()
        reason = f"the process that restored it ended by itself (exit code {self._process.exitcode})"
        return [
            RestoreReport("failed", one.account, one.id, to.url, 0, 0, 0, 0, (), (RestoreFailure("", None, reason),))
            for one, to in self._share.places
        ]


class _Told:
    """Progress that goes to the process that shows it, and a stop that comes from there."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self.stop = threading.Event()
        threading.Thread(target=self._listen, name="stop", daemon=True).start()

    def _listen(self) -> None:
        try:
            while self._pipe.recv() == "stop":
                self.stop.set()
        except (EOFError, OSError):
            os._exit(Exit.INTERRUPTED)  # nobody is there to report to

    def tell(self, *what: Any) -> None:
        """Send one thing."""
        with self._lock:
            self._pipe.send(what)

    def expect(self, account: str, messages: int, octets: int) -> None:
        """Pass it on."""
        self.tell("expect", account, messages, octets)

    def advance(self, account: str, messages: int, octets: int) -> None:
        """Pass it on."""
        self.tell("advance", account, messages, octets)


def _work(share: _Share, pipe: Connection, reads: Sequence[Connection]) -> None:
    """Restore a share of the accounts, in a process of its own."""
    ignore_signals()
    keep_memory_small()
    tell_warnings()
    told = _Told(pipe)
    try:
        vault = open_with(share.store or LentStore(share.url, reads), share.ring, share.cache)
        reports = restore_places(vault, share.places, share.wishes, told, told.stop, at_once=share.at_once)
    except Exception as error:  # noqa: BLE001 raised again where errors are told
        told.tell("raised", error)
    else:
        told.tell("done", reports)
