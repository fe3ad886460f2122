"""A mail account and a vault for it, with what tests ask of both."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from backup import AccountReport, BackupOptions, BackupReport, SourceAccount, run_backup
from imap.model import Login
from imap.url import parse_url
from tests.secret import new_secret
from tests.servers import ImapServer
from tests.servers.wire import Seen
from vault.clock import Clock, Progress, Quiet, SystemClock
from vault.keyring import init_vault
from vault.model import Flags, MessageRow, Snapshot
from vault.slots import Passphrase
from vault.stores.base import FullStore, WriteStore
from vault.stores.local import LocalStore
from vault.vault import Vault, open_vault


@dataclass
class Site:
    """One vault, in a directory unless another `place` is given.

    `backup` runs a job as the command line would, each time from a fresh look.
    """

    directory: Path
    passphrase: str = field(default_factory=new_secret, repr=False)
    options: BackupOptions = field(default_factory=lambda: BackupOptions(patience_seconds=20, timeout_seconds=20))
    clock: Clock = field(default_factory=SystemClock)
    cache: Path | None = None
    place: FullStore | None = None

    def __post_init__(self) -> None:
        self.store: FullStore = self.place or LocalStore(self.directory / "vault")
        init_vault(self.store, self.passphrase)

    def open(self, store: WriteStore | None = None) -> Vault:
        """Open the vault; on an empty machine, unless the site has a cache."""
        return open_vault(store or self.store, Passphrase(self.passphrase), cache=self.cache)

    def backup(
        self,
        *sources: SourceAccount,
        store: WriteStore | None = None,
        stop: threading.Event | None = None,
        progress: Progress | None = None,
    ) -> BackupReport:
        """Back accounts up."""
        vault = self.open(store)
        try:
            return run_backup(
                vault,
                store or self.store,
                sources,
                options=self.options,
                clock=self.clock,
                progress=progress or Quiet(),
                stop=stop or threading.Event(),
            )
        finally:
            vault.close()

    def snapshot(self, account: str) -> Snapshot:
        """Return the account's newest snapshot."""
        return self.open().snapshots(account)[-1]

    def contents(self, snapshot: Snapshot) -> dict[str, list[Seen]]:
        """Return what a snapshot holds, as a server would show it."""
        vault = self.open()
        return {
            mailbox.name: [
                Seen(row.uid, flags, row.internaldate, vault.read_message(row.blob))
                for row, flags in joined(vault.rows(mailbox), vault.flags(mailbox))
            ]
            for mailbox in vault.tree(snapshot).mailboxes
            if mailbox.selectable
        }


def joined(rows: object, flags: object) -> Sequence[tuple[MessageRow, Flags]]:
    """Put a mailbox's two tables together."""
    return [(row, names) for row, (_, names) in zip(rows, flags, strict=True)]  # type: ignore[call-overload]


def account(server: ImapServer, user: str, **changes: object) -> SourceAccount:
    """Return what to back up: one user of a test server."""
    source = SourceAccount(user, parse_url(server.url(user)), Login(lambda: server.password(user)))
    return replace(source, **changes)  # type: ignore[arg-type]


def only(report: BackupReport) -> AccountReport:
    """Return the report of a job's one account."""
    (one,) = report.accounts
    return one


def served(server: ImapServer, user: str) -> dict[str, list[Seen]]:
    r"""Return what the server shows, with none of our own code between; `\\Recent` aside, which is a session's."""
    with server.open(user) as imap:
        return {name: [seen._replace(recent=False) for seen in mails] for name, mails in imap.account().items()}
