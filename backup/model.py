"""What a backup is asked to do, and what it says it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from imap.model import Endpoint, Login
from vault.ids import SnapshotId
from vault.model import Failure
from vault.packer import PackLimits

Outcome = Literal["complete", "partial", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class SourceAccount:
    """One account to back up; `exclude` holds globs of mailbox names to leave out."""

    account: str
    endpoint: Endpoint
    login: Login
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BackupOptions:
    """How much happens at once, and how often a long job makes its work durable (packs, seconds).

    `accounts_per_server` is None where no server has a bound of its own; `job` is the name that the run record tells.
    """

    accounts_at_once: int = 4
    accounts_per_server: int | None = None
    connections: int = 2
    checkpoint_packs: int = 32
    checkpoint_seconds: float = 600
    patience_seconds: float = 600
    timeout_seconds: float = 60
    limits: PackLimits = field(default_factory=PackLimits)
    job: str = ""


@dataclass(frozen=True, slots=True)
class AccountReport:
    """What became of one account. Sizes in octets; `downloaded_octets` is all that came over the wire.

    `hint` says what to do about the trouble that ended the account's run, where one did.
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


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What became of a job. `started` is RFC 3339 in UTC."""

    status: Outcome
    started: str
    seconds: float
    accounts: tuple[AccountReport, ...]
    store_puts: int
    store_octets: int
