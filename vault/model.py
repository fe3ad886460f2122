"""Mail at rest as plain data: rows of a mailbox, trees, snapshots."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from vault.ids import AccountId, BlobId, SnapshotId

Flags = tuple[str, ...]
"""IMAP flags and keywords of one message, sorted, without `\\Recent`; octets above 127 as Latin-1."""

Status = Literal["complete", "partial"]


class MessageRow(NamedTuple):
    """What never changes about one message of a mailbox.

    `internaldate` is the server's own text (`17-Jul-1996 02:44:25 -0700`); `server_id` an 8-octet keyed hash of the
    server's own id of the message (EMAILID, X-GM-MSGID, X-GUID), empty where it gave none.
    """

    uid: int
    blob: BlobId
    size: int
    internaldate: str
    server_id: bytes = b""


class Failure(msgspec.Struct, frozen=True):
    """One thing that could not be backed up, and why. `uid` is None for a whole mailbox or account."""

    mailbox: str
    uid: int | None
    reason: str


class Mailbox(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One mailbox as it stood: its place in the hierarchy, its state, and the roots of its two tables.

    `name` is the decoded name with the server's own `delimiter`; `raw` the octets the server listed. `rows` and
    `flags` are None for a mailbox without messages. `failed` lists UIDs the server would not give, or told too little
    of. `acl` pairs identifiers with rights (RFC 4314), `rights` are the account's own where the list is not its to see,
    `metadata` pairs annotations with their octets (RFC 5464). `namespace` is empty for the account's own mailboxes,
    else whose it is (RFC 2342), and `namespace_prefix` then what the server puts before the names there.
    """

    name: str
    raw: bytes
    delimiter: str | None = None
    attributes: tuple[str, ...] = ()
    special_use: str | None = None
    subscribed: bool = False
    uidvalidity: int = 0
    uidnext: int = 0
    highestmodseq: int | None = None
    messages: int = 0
    octets: int = 0
    rows: bytes | None = None
    flags: bytes | None = None
    failed: tuple[int, ...] = ()
    complete: bool = True
    acl: tuple[tuple[str, str], ...] = ()
    rights: str = ""
    metadata: tuple[tuple[str, bytes], ...] = ()
    namespace: Literal["", "other", "shared"] = ""
    namespace_prefix: str = ""

    @property
    def selectable(self) -> bool:
        """Whether the mailbox can hold messages (RFC 9051 §7.3.1)."""
        lowered = {a.lower() for a in self.attributes}
        return not lowered & {"\\noselect", "\\nonexistent"}


class SieveScript(msgspec.Struct, frozen=True, omit_defaults=True):
    """One mail filter of an account (RFC 5228), its octets as the server gave them."""

    name: str
    text: bytes
    active: bool = False


class Tree(msgspec.Struct, frozen=True):
    """An account's mailboxes, in order of raw name; `prefix` stands before the user's own (`INBOX.`, RFC 2342).

    `metadata` holds the annotations of the server as a whole, `scripts` the account's Sieve scripts. What is not there
    is not written, so that the trees of earlier releases stay what they are.
    """

    mailboxes: tuple[Mailbox, ...]
    prefix: str = ""
    metadata: tuple[tuple[str, bytes], ...] | msgspec.UnsetType = msgspec.UNSET
    scripts: tuple[SieveScript, ...] | msgspec.UnsetType = msgspec.UNSET


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One account at one moment. `time` is RFC 3339 in UTC; `sequence` counts an account's snapshots from 1."""

    id: SnapshotId
    account: str
    account_id: AccountId
    time: str
    status: Status
    tree: BlobId
    mailboxes: int
    messages: int
    octets: int
    sequence: int
    previous: str
    failures: tuple[Failure, ...] = ()
    alarms: tuple[str, ...] = ()
    tool: str = ""


class CatalogueEntry(NamedTuple):
    """What browsing shows of a message without reading it: raw, unfolded header values; empty where absent."""

    blob: BlobId
    date: str
    sender: str
    to: str
    cc: str
    subject: str
    message_id: str
    attachments: tuple[str, ...]
