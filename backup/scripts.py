"""Reading an account's Sieve scripts, beside its mail (RFC 5804)."""

from __future__ import annotations

import threading

from backup.model import SourceAccount
from imap.sieve import SieveSession, open_sieve
from vault.model import SieveScript


class ScriptReader:
    """Reads the scripts in one thread; `abort` may be called from another."""

    def __init__(self, source: SourceAccount, *, timeout: float) -> None:
        self._source = source
        self._timeout = timeout
        self._lock = threading.Lock()
        self._session: SieveSession | None = None
        self.found: tuple[SieveScript, ...] | None = None
        """None until they are read to the end."""

    def read(self) -> None:
        """Read them all, where the account names a place for them. Raises ImapError."""
        if self._source.sieve is None:
            return
        session = open_sieve(self._source.sieve, self._source.login, timeout=self._timeout, started=self._begin)
        with session:
            scripts = session.scripts()
        self.found = tuple(SieveScript(one.name, one.octets, one.active) for one in scripts)

    def _begin(self, session: SieveSession) -> None:
        with self._lock:
            self._session = session

    @property
    def round_trips(self) -> int:
        """How often we waited for the server."""
        return self._session.round_trips if self._session else 0

    def abort(self) -> None:
        """End whatever is waited for."""
        with self._lock:
            if self._session is not None:
                self._session.abort()
