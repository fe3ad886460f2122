"""Waiting for a server that is busy, restarting or gone: the one place where a backup tries again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from imap.errors import ImapError, Throttled
from imap.source import SourceSession

ResultT = TypeVar("ResultT")

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0
_LOOK_SECONDS = 0.2


class Interrupted(Exception):
    """We were asked to stop. Not an error: what was read so far is kept."""


class PatientSession:
    """A session that is opened again when it breaks, for as long as there is progress now and then.

    `patience` bounds the seconds without progress. The first connection gets no second try: a wrong host should be
    told at once.
    """

    def __init__(self, connect: Callable[[], SourceSession], *, patience: float, stop: threading.Event) -> None:
        self._connect = connect
        self._patience = patience
        self._stop = stop
        self._session: SourceSession | None = None
        self._ever_connected = False
        self._last_progress = time.monotonic()
        self._tries = 0
        self._round_trips = 0
        self._octets_in = 0

    @property
    def round_trips(self) -> int:
        """Round trips of all connections so far."""
        session = self._session  # which its own thread may close meanwhile
        return self._round_trips + (session.round_trips if session else 0)

    @property
    def octets_in(self) -> int:
        """Octets that came over all connections so far."""
        session = self._session
        return self._octets_in + (session.octets_in if session else 0)

    def progress(self) -> None:
        """Note that something was achieved, which renews our patience."""
        self._last_progress = time.monotonic()
        self._tries = 0

    def run(self, work: Callable[[SourceSession], ResultT]) -> ResultT:
        """Do work with an open session, again and again where a new connection may help.

        Raises Interrupted, an ImapError that trying again can't cure, or the last one when patience ends.
        """
        while True:
            if self._stop.is_set():
                raise Interrupted
            try:
                if self._session is None:
                    self._session = self._connected()
                    self._ever_connected = True
                result = work(self._session)
            except ImapError as error:
                self._drop(error)
            else:
                self.progress()
                return result

    def _connected(self) -> SourceSession:
        """Connect in a thread of its own, which is left behind when we are told to stop: the server may be silent."""
        found: Future[SourceSession] = Future()

        def connect() -> None:
            try:
                session = self._connect()
            except BaseException as error:  # noqa: BLE001  (raised again where it is waited for)
                if found.set_running_or_notify_cancel():
                    found.set_exception(error)
                return
            if found.set_running_or_notify_cancel():
                found.set_result(session)
            else:
                session.close()

        threading.Thread(target=connect, name="connect", daemon=True).start()
        while not wait([found], _LOOK_SECONDS).done:
            if self._stop.is_set() and found.cancel():
                raise Interrupted
        return found.result()

    def _drop(self, error: ImapError) -> None:
        """Let go of the session where it is broken, and wait; raise the error where that won't help."""
        if self._stop.is_set():
            raise Interrupted
        if not error.retryable:
            raise error
        self.close()
        waited = time.monotonic() - self._last_progress
        if not self._ever_connected or waited >= self._patience:
            raise error
        self._tries += 1
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2**self._tries) * random.uniform(0.5, 1)  # noqa: S311 no secret
        if isinstance(error, Throttled) and error.wait:
            wait = error.wait
        if waited + wait > self._patience:
            raise error
        if self._stop.wait(wait):
            raise Interrupted

    def abort(self) -> None:
        """Break the connection from another thread, so that nobody waits on a silent server when told to stop."""
        session = self._session
        if session is not None:
            session.abort()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._session is not None:
            self._session.close()
            # LOGOUT is a round trip too, so count only now.
            self._round_trips += self._session.round_trips
            self._octets_in += self._session.octets_in
            self._session = None
