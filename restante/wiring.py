"""From a command's options to the things it works with: configuration, store, vault, accounts."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property, reduce
from pathlib import Path
from typing import TYPE_CHECKING

from imap.pace import Pace
from imap.url import parse_url
from restante.config import Account, Job, Limits, Lock, Notify, Replica
from restante.endpoints import acting_for, endpoint_of, sieve_of
from restante.errors import UsageTrouble
from restante.loading import Loaded, find_config, load_config
from restante.memory import keep_memory_small
from restante.secrets import login_of, replica_credentials, url_login, vault_secret
from restante.servers import ServerAccount, server_accounts
from vault.clock import SystemClock
from vault.errors import StoreError
from vault.slots import Secret
from vault.stores import open_locked_store, open_store
from vault.stores.base import FullStore
from vault.stores.locked import ObjectLock
from vault.vault import Vault, open_to_look, open_vault

if TYPE_CHECKING:  # what talks to mail servers is imported while the vault is being opened (open_early)
    from backup import BackupOptions, SourceAccount
    from backup.retention import Policy


@dataclass(frozen=True)
class Wiring:
    """What one command was told; reads the configuration and asks for secrets only when they are needed."""

    config: Path | None
    vault_option: str | None

    @cached_property
    def loaded(self) -> Loaded | None:
        """The configuration, or None where there is none. Raises UsageTrouble, ConfigFaults."""
        file = find_config(self.config)
        return load_config(file) if file is not None else None

    @property
    def limits(self) -> Limits:
        """How hard to work the mail servers."""
        return self.loaded.config.limits if self.loaded is not None else Limits()

    def backup_options(self, job: str | None = None) -> BackupOptions:
        """Return how a backup works; its run record will tell the job's name."""
        from backup import BackupOptions

        limits = self.limits
        return BackupOptions(
            accounts_at_once=limits.accounts_at_once,
            accounts_per_server=limits.accounts_per_server,
            accounts_of=self.accounts_of,
            connections=limits.connections,
            processes=limits.processes,
            prepare=keep_memory_small,
            job=job or "",
        )

    @property
    def accounts_of(self) -> dict[str, int]:
        """How many accounts are read at once of servers that have a bound of their own, by their host."""
        servers = self.loaded.config.servers if self.loaded is not None else []
        return {parse_url(acting_for(s.url, "user")).host: s.accounts_at_once for s in servers if s.accounts_at_once}

    def again(self) -> Wiring:
        """Return the same configuration, secret and store with a vault of its own, for another thread."""
        other = Wiring(self.config, self.vault_option)
        vars(other).update(loaded=self.loaded, secret=self.secret, store=self.store, _paces=self._paces)
        return other

    def close(self) -> None:
        """Let go of the vault, if it was opened."""
        if "vault" in vars(self):
            self.vault.close()

    @property
    def vault_url(self) -> str:
        """The vault's URL: the option's, else the configuration's. Raises UsageTrouble."""
        if self.vault_option:
            return self.vault_option
        if self.loaded is not None:
            return self.loaded.config.vault.url
        hint = "give --vault s3://bucket/prefix or --vault file:///directory, or name a configuration with -c"
        raise UsageTrouble("no vault was named", hint=hint)

    @cached_property
    def store(self) -> FullStore:
        """The vault's store. Raises UsageTrouble on a URL that names none."""
        try:
            lock = self._object_lock
            return open_locked_store(self.vault_url, lock, SystemClock()) if lock else open_store(self.vault_url)
        except StoreError as error:  # it connects to nothing yet, so it can only be the URL
            raise UsageTrouble(error.message, hint=error.hint) from None

    @property
    def _object_lock(self) -> ObjectLock | None:
        """The lock that the configuration wants on its own vault."""
        if self.loaded is None or self.vault_url != self.loaded.config.vault.url:
            return None
        return _object_lock(self.loaded.config.vault.object_lock)

    @property
    def notify(self) -> Notify | None:
        """Who is told of troubles, where the vault at hand is the configuration's own. Raises UsageTrouble."""
        own = self.loaded is not None and self.vault_url == self.loaded.config.vault.url
        return self.loaded.config.notify if self.loaded is not None and own else None

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """The second sites of the configuration."""
        return self.loaded.config.replicas if self.loaded is not None else ()

    def replica(self, place: str) -> FullStore:
        """Return the store of a second site, by its name in the configuration or by URL. Raises UsageTrouble."""
        known = next((one for one in self.replicas if place in (one.name, one.url)), None)
        if known is None and "://" not in place:
            hint = _suggestion(place, [one.name for one in self.replicas], "replica")
            raise UsageTrouble(f"no replica is called {place}", hint=hint)
        url = known.url if known else place
        try:
            credentials = replica_credentials(known) if known else None
            lock = _object_lock(known.object_lock) if known else None
            store = open_locked_store(url, lock, SystemClock(), credentials) if lock else open_store(url, credentials)
        except StoreError as error:
            raise UsageTrouble(error.message, hint=error.hint) from None
        if store.url == self.store.url and (url.startswith("file:") or url == self.vault_url):
            raise UsageTrouble(f"{store.url} is the vault itself", hint="name another place")
        return store

    @cached_property
    def secret(self) -> Secret:
        """What opens the vault."""
        return vault_secret(self.loaded)

    @cached_property
    def vault(self) -> Vault:
        """The vault, opened. Raises WrongSecret, VaultError, StoreError."""
        return self._opening.result()

    @cached_property
    def vault_to_look(self) -> Vault:
        """The same for a command that only shows what is in it. Raises WrongSecret, VaultError, StoreError."""
        return open_to_look(self.store, self.secret, cache=self.cache)

    def open_early(self) -> None:
        """Begin to open the vault beside other work, since a key from a passphrase takes a while; `vault` waits for it.

        Asks for the passphrase first, where nothing gives it. Raises UsageTrouble.
        """
        _ = self._opening

    @cached_property
    def _opening(self) -> Future[Vault]:
        store, secret, cache, future = self.store, self.secret, self.cache, Future[Vault]()

        def work() -> None:
            try:
                future.set_result(open_vault(store, secret, cache=cache))
            except BaseException as error:  # noqa: BLE001 handed to whoever wants the vault
                future.set_exception(error)

        # A daemon: whoever gives up need not wait for a store that does not answer.
        threading.Thread(target=work, name="open vault", daemon=True).start()
        return future

    @cached_property
    def cache(self) -> Path:
        """The directory for what may be lost: the index cache and the ledgers of restores."""
        if self.loaded is not None and self.loaded.config.vault.cache is not None:
            return self.loaded.path(self.loaded.config.vault.cache)
        home = os.environ.get("XDG_CACHE_HOME")
        return (Path(home) if home else Path.home() / ".cache") / "restante"

    def accounts(self, names: list[str], job: str | None) -> list[SourceAccount]:
        """Return the accounts that a command names, or all of the configuration. Raises UsageTrouble."""
        return [
            self._url_account(one) if isinstance(one, str) else self._account(one) for one in self.chosen(names, job)
        ]

    def chosen(self, names: list[str], job: str | None) -> list[Account | str]:
        """Return what the configuration says of them; a URL as it was given. Raises UsageTrouble."""
        if names and job:
            raise UsageTrouble("accounts and --job were both given", hint="give one of the two")
        if names:
            return [name if "://" in name else self._named(name) for name in names]
        return [*(self._of_job(job) if job else self._configured())]

    @property
    def job_names(self) -> set[str]:
        """The names of all jobs, whether they have a schedule or not."""
        return {job.name for job in self.loaded.config.jobs} if self.loaded is not None else set()

    def promised(self) -> dict[str, timedelta | None]:
        """Return every account of the configuration with its RPO: its own, else the shortest of its jobs', or None."""
        config = self.loaded.config if self.loaded is not None else None
        promises: dict[str, timedelta | None] = {}
        for account in self._known:
            jobs = [job for job in config.jobs if job.does == "backup" and _covers(job, account)] if config else []
            promises[account.name] = account.rpo or min((job.rpo for job in jobs if job.rpo), default=None)
        return promises

    def retention(self, account: str) -> Policy:
        """Return what to keep of an account: its own policy, else the widest of the jobs that cover it, else all."""
        config = self.loaded.config if self.loaded is not None else None
        from backup.retention import Policy

        own = next((a.retention for a in self._known if a.name == account), None)
        if own is not None:
            return own.policy
        jobs = config.jobs if config else []
        told = [j.retention.policy for j in jobs if j.retention and any(fnmatchcase(account, g) for g in j.accounts)]
        return reduce(Policy.widened, told) if told else Policy()

    @cached_property
    def _paces(self) -> dict[tuple[str, str], Pace | None]:
        """What bounds the bandwidth of each server, and of each account that stands alone: one for all its readers."""
        assert self.loaded is not None
        config = self.loaded.config
        rates = {("server", s.name): s.bandwidth for s in config.servers}
        rates |= {("account", a.name): a.bandwidth for a in config.accounts}
        return {name: Pace(rate) if rate else None for name, rate in rates.items()}

    @cached_property
    def _of_servers(self) -> dict[str, ServerAccount]:
        """The accounts of whole servers, listed once."""
        return {one.account.name: one for one in server_accounts(self.loaded)} if self.loaded is not None else {}

    @property
    def _known(self) -> list[Account]:
        """All accounts of the configuration."""
        own = self.loaded.config.accounts if self.loaded is not None else []
        return [*own, *(one.account for one in self._of_servers.values())]

    def _configured(self) -> list[Account]:
        if not self._known:
            hint = "name an account by URL (imaps://user@host), or list accounts in a configuration"
            raise UsageTrouble("no account was named", hint=hint)
        return self._known

    def _of_job(self, name: str) -> list[Account]:
        jobs = {job.name: job for job in (self.loaded.config.jobs if self.loaded else [])}
        if name not in jobs:
            raise UsageTrouble(f"no job is called {name}", hint=_suggestion(name, list(jobs), "job"))
        return [account for account in self._configured() if _covers(jobs[name], account)]

    def _named(self, name: str) -> Account:
        known = {account.name: account for account in self._known}
        if name not in known:
            raise UsageTrouble(f"no account is called {name}", hint=_suggestion(name, list(known), "account"))
        return known[name]

    def _account(self, account: Account) -> SourceAccount:
        from backup import SourceAccount

        endpoint = endpoint_of(account.url)
        assert self.loaded is not None
        of_server = self._of_servers.get(account.name)
        if of_server is not None:
            login, connections = of_server.login, of_server.server.connections
            pace = self._paces["server", of_server.server.name]
        else:
            login = login_of(self.loaded, account, account.name, endpoint.account) or url_login("SOURCE", account.name)
            connections, pace = None, self._paces["account", account.name]
        return SourceAccount(
            account.name,
            endpoint,
            login,
            exclude=account.exclude,
            only=account.only,
            namespaces=frozenset("" if kind == "personal" else kind for kind in account.namespaces),
            connections=connections,
            pace=pace,
            octets_per_day=account.bytes_per_day,
            sieve=sieve_of(account.sieve, endpoint) if account.sieve else None,
        )

    def _url_account(self, url: str) -> SourceAccount:
        from backup import SourceAccount

        endpoint = endpoint_of(url)
        return SourceAccount(endpoint.account, endpoint, url_login("SOURCE", endpoint.account))


def _object_lock(told: Lock | None) -> ObjectLock | None:
    if told is None:
        return None
    return ObjectLock("COMPLIANCE" if told.mode == "compliance" else "GOVERNANCE", timedelta(days=told.days))


def _covers(job: Job, account: Account) -> bool:
    return any(fnmatchcase(account.name, glob) for glob in job.accounts)


def _suggestion(name: str, known: list[str], kind: str) -> str:
    if not known:
        return f"the configuration lists no {kind}s; name one with -c"
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known)[:10])}"
