"""Mail on the wire as plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

NamespaceKind = Literal["", "other", "shared"]
"""Whose a mailbox is (RFC 2342): the user's own, another user's, or shared by all."""
TlsMode = Literal["implicit", "starttls", "off"]
Protocol = Literal["imap", "pop3", "lmtp", "smtp"]
Secret = Callable[[], str]
"""Gives a password or token when asked; nothing keeps it longer than a login."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One account on one server, as a URL names it. Holds no secret.

    `acting_as` is the user to act for when `user` is a master; `master_form` the `*` of Dovecot's `user*master`.
    """

    host: str
    port: int
    user: str
    tls: TlsMode = "implicit"
    ca: str | None = None
    fingerprint: str | None = None
    acting_as: str | None = None
    master_form: str | None = None
    protocol: Protocol = "imap"

    @property
    def account(self) -> str:
        """Whose mail this is: the user acted for, else the user who logs in."""
        return self.acting_as or self.user


@dataclass(frozen=True, slots=True)
class Login:
    """How to prove who we are: a password, or an OAuth token where `oauth` is set.

    `renew` gives another token where the server refuses the first: it may have been revoked before its time.
    """

    secret: Secret = field(repr=False)
    oauth: bool = False
    renew: Secret | None = field(default=None, repr=False)


class MailboxStatus(msgspec.Struct, frozen=True):
    """The four numbers that say whether a mailbox changed (RFC 9051 §6.3.11, RFC 7162 §3.1.2.1)."""

    messages: int
    uidnext: int
    uidvalidity: int
    highestmodseq: int | None = None


class ListedMailbox(msgspec.Struct, frozen=True):
    """One line of the account's listing; `status` is None for what can't be selected or did not answer.

    `name` is decoded (modified UTF-7 or UTF-8), `raw` the octets as listed. `namespace` is empty for the user's own,
    else whose it is; `namespace_prefix` is then what stands before its name.
    """

    name: str
    raw: bytes
    delimiter: str | None
    attributes: tuple[str, ...]
    special_use: str | None
    subscribed: bool
    status: MailboxStatus | None
    problem: str = ""
    namespace: NamespaceKind = ""
    namespace_prefix: str = ""


class Opened(msgspec.Struct, frozen=True):
    """A mailbox opened with EXAMINE or SELECT. `vanished` and `changed` only after a QRESYNC opening.

    `cut_to` is how many messages the server shows, the newest, where the mailbox may hold more; else 0.
    """

    uidvalidity: int
    uidnext: int | None
    exists: int
    highestmodseq: int | None
    permanent_flags: frozenset[str]
    vanished: tuple[tuple[int, int], ...] | None = None
    changed: tuple[tuple[int, tuple[str, ...]], ...] | None = None
    cut_to: int = 0


class Facts(NamedTuple):
    """What FETCH says of a message without its body; `size` is a hint only (some servers lie).

    `untold` names what it should have said and did not: `flags`, `date`, or both; these are empty then.
    """

    uid: int
    flags: tuple[str, ...]
    internaldate: str
    size: int
    server_id: bytes
    untold: str = ""


class Fetched(NamedTuple):
    """One message's exact octets; None where the server would not give them, with its words in `reason`.

    `internaldate` is when it came, where only the message itself can tell.
    """

    uid: int
    octets: bytes | None
    reason: str = ""
    internaldate: str = ""


GONE = "gone"
"""The `reason` of a message that was expunged between the listing and the FETCH: no failure, it just is no more."""


class Headers(NamedTuple):
    """The header fields Message-ID, Date, From and Subject of one message as the server cut them out, in its order."""

    uid: int
    octets: bytes
    size: int
    internaldate: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message for APPEND: its exact octets, its flags, and INTERNALDATE as text; empty lets the server choose."""

    octets: bytes = field(repr=False)
    flags: tuple[str, ...] = ()
    internaldate: str = ""


class Appended(NamedTuple):
    """What became of one Outgoing. `error` is None when it is stored; `uid` is None where the server does not tell.

    `code` is the response code of a refusal (`OVERQUOTA`, `TOOBIG` …). `altered` names what had to be left out to have
    it stored: `internaldate`, `keywords`.
    """

    uid: int | None
    error: str | None = None
    code: str = ""
    uidvalidity: int | None = None
    altered: tuple[str, ...] = ()


class Quota(NamedTuple):
    """One limit on what an account may store: `STORAGE` in octets, `MESSAGE`s or `MAILBOX`es; `root` is its name."""

    root: str
    resource: str
    used: int
    limit: int

    @property
    def left(self) -> int:
        """How much more there is room for."""
        return max(0, self.limit - self.used)


class Namespace(NamedTuple):
    """Where mailboxes of one kind live (RFC 2342): what stands before their names, and what parts the levels."""

    prefix: bytes
    delimiter: str | None


class Namespaces(NamedTuple):
    """All that a server names; the first personal one is the usual one."""

    personal: tuple[Namespace, ...]
    other: tuple[Namespace, ...] = ()
    shared: tuple[Namespace, ...] = ()

    def by_kind(self) -> dict[NamespaceKind, tuple[Namespace, ...]]:
        """Return the same by kind, the kinds that the server has."""
        told: dict[NamespaceKind, tuple[Namespace, ...]] = {
            "": self.personal,
            "other": self.other,
            "shared": self.shared,
        }
        return {kind: spaces for kind, spaces in told.items() if spaces}
