"""What a restore is asked for, what it plans, and what it says it did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from imap.model import NamespaceKind, Quota
from vault.ids import SnapshotId
from vault.model import Flags, Mailbox, MessageRow

Outcome = Literal["complete", "partial", "failed", "interrupted"]
Levels = tuple[str, ...]
"""A mailbox's place as its levels, without any server's separator or prefix; ("INBOX",) for the INBOX."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which messages to restore; all where nothing is said. Globs and words are matched without letter case."""

    mailboxes: tuple[str, ...] = ()
    since: date | None = None
    before: date | None = None
    sender: str | None = None
    subject: str | None = None
    message_id: str | None = None

    @property
    def of_messages(self) -> bool:
        """Whether anything but the mailbox decides."""
        return any((self.since, self.before, self.sender, self.subject, self.message_id))


@dataclass(frozen=True, slots=True)
class Mapping:
    """Where mailboxes go: renames `Old/*` to `New/*`, first match first; `into` puts all below one mailbox."""

    renames: tuple[tuple[str, str], ...] = ()
    into: str | None = None


@dataclass(frozen=True, slots=True)
class Beside:
    """What to restore beside the account's own mail: annotations, rights of others, their mailboxes, Sieve scripts."""

    metadata: bool = True
    acl: bool = False
    shared: bool = False
    scripts: bool = False


@dataclass(frozen=True, slots=True)
class TargetMailbox:
    """A mailbox that the target has, as its listing shows it."""

    levels: Levels
    special_use: str | None = None
    messages: int | None = None
    namespace: NamespaceKind = ""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a target looks like before anything is restored to it."""

    mailboxes: tuple[TargetMailbox, ...] = ()
    quotas: tuple[Quota, ...] = ()
    namespaces: frozenset[NamespaceKind] = frozenset({""})
    keeps: frozenset[Literal["acl", "metadata", "server metadata"]] = frozenset()


@dataclass(frozen=True, slots=True)
class PlannedMailbox:
    """One mailbox of the snapshot and where it goes. `reason` says why there, where that is not plain.

    `vacant` says that the target holds no messages there yet. With a `namespace` the first level stands for the
    target's own of that kind.
    """

    source: Mailbox
    levels: Levels
    create: bool
    subscribe: bool
    special_use: str | None
    reason: str = ""
    vacant: bool = False
    acl: tuple[tuple[str, str], ...] = ()
    metadata: tuple[tuple[str, bytes], ...] = ()
    namespace: NamespaceKind = ""

    @property
    def name(self) -> str:
        """The place as people write it."""
        return "/".join(self.levels)


@dataclass(frozen=True, slots=True)
class PlannedScript:
    """One Sieve script and the name it gets; `reason` says what is otherwise than it was."""

    kept: str
    name: str
    octets: bytes = field(repr=False)
    store: bool
    activate: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What a restore would do, in order. `metadata` goes to the server as a whole.

    `lost` says what the target can't keep, `left_out` what is restored only on request.
    """

    account: str
    snapshot: SnapshotId
    target: str
    mailboxes: tuple[PlannedMailbox, ...]
    filters: Filters
    quotas: tuple[Quota, ...] = ()
    metadata: tuple[tuple[str, bytes], ...] = ()
    scripts: tuple[PlannedScript, ...] = ()
    lost: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Replay:
    """One message on its way to a target."""

    row: MessageRow
    flags: Flags
    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of one message: stored, with what the target would not keep; or not stored, and why.

    `over_quota` says that the target has no room for it.
    """

    error: str | None = None
    altered: tuple[str, ...] = ()
    over_quota: bool = False


@dataclass(frozen=True, slots=True)
class ReadBack:
    """One message as the target gives it back. Flags and date are None where the target keeps none."""

    octets: bytes = field(repr=False)
    flags: Flags | None
    internaldate: str | None


@dataclass(frozen=True, slots=True)
class Alteration:
    """Something that the target keeps otherwise than the snapshot; `uid` is the source's, None for a mailbox.

    `mailbox` is empty for what is about the whole account.
    """

    mailbox: str
    uid: int | None
    what: str


@dataclass(frozen=True, slots=True)
class RestoreFailure:
    """Something that was not restored; `uid` is the source's, None for a mailbox."""

    mailbox: str
    uid: int | None
    reason: str


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return what to say of several accounts together."""
    found = set(outcomes)
    if "interrupted" in found:
        return "interrupted"
    if found == {"failed"}:
        return "failed"
    return "complete" if found <= {"complete"} else "partial"


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What became of one account's restore; `over_quota` counts the failures for which the target had no room."""

    status: Outcome
    account: str
    snapshot: SnapshotId
    target: str
    seconds: float
    restored: int
    skipped: int
    verified: int
    altered: tuple[Alteration, ...]
    failures: tuple[RestoreFailure, ...]
    over_quota: int = 0
