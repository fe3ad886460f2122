"""What a backup is asked to do, and what it says it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from imap.model import Endpoint, Login, NamespaceKind
from imap.pace import Pace
from vault.ids import SnapshotId
from vault.model import Failure
from vault.packer import PackLimits

Outcome = Literal["complete", "partial", "failed", "interrupted"]


def _nothing() -> None:
    """Do nothing; a function that can be sent to another process."""


@dataclass(frozen=True, slots=True)
class SourceAccount:
    r"""One account to back up.

    `exclude` are the mailboxes to leave out, `only` the ones to take (all where it is empty), as globs of names or as
    roles (`\Junk`). `namespaces` says whose mailboxes to take (RFC 2342). `connections` is how many it is read over,
    None as the options say; `pace` bounds its bandwidth, `octets_per_day` what may come over the wire in 24 hours.
    `sieve` is where its Sieve scripts are, with the same login.
    """

    account: str
    endpoint: Endpoint
    login: Login
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    namespaces: frozenset[NamespaceKind] = frozenset({""})
    connections: int | None = None
    pace: Pace | None = None
    octets_per_day: int | None = None
    sieve: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class BackupOptions:
    """How much happens at once, and how often a long job makes its work durable (packs, seconds).

    `accounts_per_server` bounds the accounts of any one server, None for no such bound, `accounts_of` those of a server
    by its host's name. `processes` is how many read the accounts, None for as many as are worth it; each of them begins
    with `prepare`, a function of a module. `job` is the name that the run record tells.
    """

    accounts_at_once: int = 4
    accounts_per_server: int | None = None
    accounts_of: Mapping[str, int] = field(default_factory=dict)
    connections: int = 2
    processes: int | None = 1
    prepare: Callable[[], object] = _nothing
    checkpoint_packs: int = 32
    checkpoint_seconds: float = 600
    patience_seconds: float = 600
    timeout_seconds: float = 60
    limits: PackLimits = field(default_factory=PackLimits)
    job: str = ""


class AccountReport(msgspec.Struct, frozen=True):
    """What became of one account. Sizes in octets; `downloaded_octets` is all that came over the wire.

    `hint` says what to do about the trouble that ended the account's run, where one did. `left_out` are mailboxes of
    others and shared ones that nobody asked for.
    """

    account: str
    status: Outcome
    snapshot: SnapshotId | None = None
    mailboxes: int = 0
    messages: int = 0
    octets: int = 0
    new_messages: int = 0
    linked_messages: int = 0
    known_messages: int = 0
    downloaded_octets: int = 0
    stored_octets: int = 0
    round_trips: int = 0
    failures: tuple[Failure, ...] = ()
    alarms: tuple[str, ...] = ()
    hint: str = ""
    left_out: tuple[str, ...] = ()


class BackupReport(msgspec.Struct, frozen=True):
    """What became of a job. `started` is RFC 3339 in UTC."""

    status: Outcome
    started: str
    seconds: float
    accounts: tuple[AccountReport, ...]
    store_puts: int
    store_octets: int
