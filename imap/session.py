"""A session with one account of an IMAP server: all that backup and restore ask of a server goes through here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

import msgspec

from imap import append, fetch, listing, scan
from imap.ahead import Ahead
from imap.arguments import Part, astring
from imap.belongings import Belongings, belongings, set_metadata, set_rights
from imap.connect import connect, greeted_capabilities
from imap.errors import Refused
from imap.login import ask_capabilities, log_in
from imap.model import (
    Appended,
    Endpoint,
    Facts,
    Fetched,
    Headers,
    ListedMailbox,
    Login,
    NamespaceKind,
    Namespaces,
    Opened,
    Outgoing,
    Quota,
)
from imap.names import decode_name
from imap.opening import open_mailbox
from imap.pace import Pace
from imap.profiles import Profile, ServerIdKind, choose, to_enable
from imap.quota import inbox_quotas
from imap.sets import Range, split, write_set
from imap.tokens import kind_of, number, tokens
from imap.wire import Wire

_ANY = 1 << 62
_IN_REV2 = frozenset(
    {"ENABLE", "ESEARCH", "LIST-EXTENDED", "LIST-STATUS", "LITERAL-", "NAMESPACE", "SASL-IR", "SPECIAL-USE", "UIDPLUS"}
)
"""What IMAP4rev2 brings without saying so (RFC 9051, appendix E), as far as we use it."""


def open_session(endpoint: Endpoint, login: Login, *, timeout: float = 60, pace: Pace | None = None) -> Session:
    """Connect, go over to TLS as the endpoint demands, log in, enable what the server has for us.

    `timeout` bounds each wait for the server, in seconds, `pace` how fast we read. Raises CannotConnect,
    UntrustedCertificate, LoginRefused, Throttled, ConnectionLost, or BadUrl for a CA file that can't be read.
    """
    wire, greeting = connect(endpoint, timeout=timeout, pace=pace)
    try:
        capabilities = greeted_capabilities(greeting) if endpoint.tls != "starttls" else frozenset()
        capabilities = capabilities or ask_capabilities(wire)
        wire.literal_limit = _literal_limit(capabilities)
        if not greeting.upper().startswith(b"* PREAUTH"):
            capabilities = log_in(wire, endpoint, login, capabilities)
        if "IMAP4REV2" in capabilities:
            capabilities |= _IN_REV2
        wire.literal_limit = _literal_limit(capabilities)
        words, enabled = _enable(wire, capabilities)
    except BaseException:
        wire.hang_up()
        raise
    return Session(wire, capabilities, choose(greeting + words, capabilities, enabled))


class Session:
    """One logged-in connection; a context manager; for one thread at a time.

    After ConnectionLost it is of no more use: open another.
    """

    def __init__(self, wire: Wire, capabilities: frozenset[str], profile: Profile) -> None:
        self.capabilities = capabilities
        self.profile = profile
        self.has_condstore = bool(capabilities & {"CONDSTORE", "QRESYNC"})
        self.has_qresync = "QRESYNC" in capabilities and "ENABLE" in capabilities
        self.notes: tuple[str, ...] = ()
        self.opened: bytes | None = None
        """The raw name of the mailbox that is open."""
        self._wire = wire
        self._uidnext: int | None = None
        self._ahead: Ahead | None = None
        self._namespaces: Namespaces | None = None
        self._server_id_tried = False
        self._server_id_kind = profile.server_id_kind

    @property
    def round_trips(self) -> int:
        """How often we waited for the server since TLS was up."""
        return self._wire.round_trips

    @property
    def octets_in(self) -> int:
        """How many octets of responses came, after decryption."""
        return self._wire.octets_in

    @property
    def server_id_kind(self) -> ServerIdKind:
        """Which FETCH item names a message's content for good; empty where the server has none."""
        return self._server_id_kind

    @property
    def append_limit(self) -> int | None:
        """The largest message the server takes, in octets (RFC 7889); None where it does not say."""
        limits = [number(c[12:].encode("latin-1")) for c in self.capabilities if c.startswith("APPENDLIMIT=")]
        return limits[0] if limits else None

    def look(self, also: Collection[NamespaceKind] = ()) -> list[ListedMailbox]:
        """Return all mailboxes with their four numbers, sorted by raw name; one round trip with LIST-STATUS.

        Namespaces of the kinds in `also` cost one more each, and show mailboxes that the server may hide otherwise.
        """
        listed, namespaces = listing.look(self._wire, self.capabilities, also)
        self._namespaces = namespaces or self._namespaces
        return listed

    def namespaces(self) -> Namespaces:
        """Return where mailboxes live (RFC 2342): the user's own, other users', shared ones."""
        if self._namespaces is None:
            self._namespaces = listing.ask_namespaces(self._wire, self.capabilities)
        return self._namespaces

    def quotas(self) -> list[Quota]:
        """Return the limits on what the account may store; none where the server has no QUOTA or no limit."""
        offers = any(c == "QUOTA" or c.startswith("QUOTA=") for c in self.capabilities)
        return inbox_quotas(self._wire) if offers else []

    def belongings(self, raws: Sequence[bytes]) -> dict[bytes, Belongings]:
        """Return access lists and annotations of mailboxes, where the server has ACL and METADATA; b"" is the server.

        One round trip for fifty.
        """
        if not self.capabilities & {"ACL", "METADATA", "METADATA-SERVER"}:
            return {}
        return belongings(self._wire, self.capabilities, raws, self.profile.computed_metadata)

    def set_metadata(self, raw: bytes, entries: Sequence[tuple[str, bytes]]) -> list[tuple[str, str]]:
        """Set annotations; return those the server refused, with its words."""
        return set_metadata(self._wire, raw, entries)

    def set_rights(self, raw: bytes, identifier: str, rights: str) -> str | None:
        """Give an identifier exactly these rights in a mailbox; return the words of a refusal, or None."""
        return set_rights(self._wire, raw, identifier, rights)

    def examine(self, raw: bytes, *, known: tuple[int, int] | None = None, ahead: int = 0) -> Opened:
        """Open a mailbox for reading; nothing there changes by it.

        `known` is the (UIDVALIDITY, HIGHESTMODSEQ) of an earlier look: with QRESYNC the answer tells what changed.
        `ahead` is a UID from which on the messages will be listed and their facts asked for: where the server takes
        commands in one breath, it is asked now, and the first `uids`, and `facts`, cost no round trip.
        Raises Refused when the mailbox is gone.
        """
        return self._open(b"EXAMINE", raw, known, ahead)

    def select(self, raw: bytes) -> Opened:
        """Open a mailbox for changing it. Raises Refused when the mailbox is not there."""
        return self._open(b"SELECT", raw, None)

    def unselect(self) -> None:
        """Leave the open mailbox as it is, where the server knows UNSELECT (RFC 3691); else it stays open."""
        if self.opened is not None and self.capabilities & {"UNSELECT", "IMAP4REV2"}:
            self.opened = None
            self._wire.run(b"UNSELECT", what="leaving the mailbox")

    def uids(self, first: int = 1, last: int | None = None) -> Iterator[Range]:
        """Return ranges of the UIDs present, ascending."""
        whole = self._is_whole(first, last)
        if self._ahead and (found := self._ahead.uids(first, last or _ANY, whole=whole)) is not None:
            return iter(found)
        return scan.uids(self._wire, first, last, self.profile, whole=whole)

    def flags(self, first: int = 1, last: int | None = None) -> Iterator[scan.UidFlags]:
        r"""Yield (UID, flags) ascending, flags sorted and without `\Recent`."""
        whole = self._is_whole(first, last)
        return scan.flags(self._wire, first, last, self.profile, whole=whole)

    def flags_changed_since(self, modseq: int) -> list[scan.UidFlags]:
        """Return (UID, flags) of what changed after a mod-sequence, ascending. Needs CONDSTORE."""
        return scan.changed_since(self._wire, modseq)

    def facts(self, uids: Sequence[int]) -> Iterator[Facts]:
        """Yield what is known of messages without their bodies; nothing for a UID the server is silent about."""
        if self._ahead and self._ahead.holds(uids):
            return self._ahead.of(uids)
        if self._server_id_kind and uids and not self._server_id_tried:
            self._try_server_id(uids[0])
        return scan.facts(self._wire, uids, self._server_id_kind.encode())

    def messages(self, uids: Sequence[int], *, sizes: Mapping[int, int] | None = None) -> Iterator[Fetched]:
        """Yield each message once, its exact octets read with PEEK; None and a reason where the server won't give it.

        `sizes` (RFC822.SIZE from `facts`) lets the commands be cut by octets. A message expunged meanwhile has the
        reason `GONE`. Those that need a second try come last. Until the iterator ends or is closed, no other command
        may be given.
        Raises ConnectionLost or Throttled after all that came whole; the first UID not seen is what it happened at.
        """
        return fetch.messages(self._wire, uids, sizes=sizes, at_once=self.profile.commands_at_once)

    def headers(self, uids: Sequence[int]) -> Iterator[Headers]:
        """Yield Message-ID, Date, From and Subject as the server cuts them out, with size and date."""
        return scan.headers(self._wire, uids)

    def create(self, raw: bytes, special_use: str | None = None) -> bool:
        """Make a mailbox; True if it was not there. The role is asked for only where the server can give it (RFC 6154).

        Raises Refused when the server won't; with code `NOSELECT` where the name is that of a level, which others have.
        """
        parts: list[Part] = [b"CREATE ", astring(raw)]
        if special_use and "CREATE-SPECIAL-USE" in self.capabilities:
            parts.append(b" (USE (" + special_use.encode("ascii") + b"))")
        name = decode_name(raw)
        try:
            self._wire.run(*parts, what=f"making {name}")
        except Refused as refused:
            there = listing.is_there(self._wire, raw)
            if there:
                return False
            if there is False:
                raise Refused(refused.message, code="NOSELECT") from None
            if len(parts) == 2:
                raise
            self._wire.run(*parts[:2], what=f"making {name}")
        return True

    def role(self, raw: bytes) -> str | None:
        """Return the special use that the server gives a mailbox (RFC 6154), or None."""
        return listing.role_of(self._wire, self.capabilities, raw)

    def subscribe(self, raw: bytes) -> None:
        """Subscribe to a mailbox. Raises Refused."""
        self._wire.run(b"SUBSCRIBE ", astring(raw), what=f"subscribing to {decode_name(raw)}")

    def append(self, raw: bytes, messages: Sequence[Outgoing]) -> list[Appended]:
        """Store messages, octets exactly as given; one result for each, in order.

        Raises Refused with code `TRYCREATE` when the mailbox is not there, Throttled when nothing is stored yet, and
        AppendInterrupted (a ConnectionLost), which tells what is done.
        """
        return append.append(self._wire, raw, messages, self.capabilities, name=decode_name(raw))

    def store_flags(self, uids: Sequence[int], flags: Sequence[str], *, add: bool = False) -> None:
        """Give messages of the selected mailbox exactly these flags, or with `add` these too. Raises Refused."""
        item = b" +FLAGS.SILENT (" if add else b" FLAGS.SILENT ("
        tail = item + b" ".join(append.sendable(flags)) + b")"
        for part in split(uids, count=min(1000, self.profile.most_at_once or 1000)):
            self._wire.run(b"UID STORE " + write_set(part) + tail, what="setting flags")

    def abort(self) -> None:
        """Break the connection from another thread; whoever waits on it gets ConnectionLost."""
        self._wire.abort()

    def close(self) -> None:
        """Log out and hang up. Never raises, never waits longer than three seconds."""
        self._wire.quit(3)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _is_whole(self, first: int, last: int | None) -> bool:
        return first <= 1 and (last is None or last + 1 >= (self._uidnext or _ANY))

    def _open(self, verb: bytes, raw: bytes, known: tuple[int, int] | None, ahead: int = 0) -> Opened:
        if not self.has_qresync:
            known = None
        ahead = ahead if self.profile.reads_ahead else 0
        self.opened = self._ahead = None
        opened, facts = open_mailbox(
            self._wire,
            verb,
            raw,
            name=decode_name(raw),
            condstore="CONDSTORE" in self.capabilities and "ENABLE" not in self.capabilities,
            known=known,
            ahead=ahead,
            server_id=self._server_id_kind.encode(),
        )
        self.opened, self._uidnext = raw, opened.uidnext
        if facts is not None:
            self._ahead = Ahead(ahead, facts, opened.exists)
            self._server_id_tried = self._server_id_tried or bool(facts)
        most = self.profile.most_shown
        return msgspec.structs.replace(opened, cut_to=most) if 0 < most <= opened.exists else opened

    def _try_server_id(self, uid: int) -> None:
        """Ask one message for its id: X-GUID is advertised nowhere, and a wrong guess must not cost a window."""
        if not self._wire.exists:
            return
        item = self._server_id_kind.encode()
        if not self._wire.ask(b"UID FETCH %d (" % uid + item + b")", what="reading an id")[1].ok:
            self._server_id_kind = ""
        self._server_id_tried = True


def _enable(wire: Wire, capabilities: frozenset[str]) -> tuple[bytes, frozenset[str]]:
    """Enable what we need before the first mailbox is opened, and ask who the server is, in one round trip.

    Returns what it says of itself, and what it says to have enabled; iCloud enables mod-sequences without saying so.
    """
    tags = []
    if wanted := to_enable(capabilities):
        tags.append(wire.start(b"ENABLE " + " ".join(wanted).encode("ascii"), what="ENABLE"))
    if "ID" in capabilities:
        tags.append(wire.start(b"ID NIL", what="ID"))
    words = b""
    enabled: set[str] = set()
    for tag in tags:
        for response in wire.collect(tag, what="ENABLE")[0]:
            kind = kind_of(response)[0]
            if kind == b"ENABLED":
                enabled.update(response.text.decode("latin-1").upper().split()[2:])
            elif kind == b"ID":
                pairs = tokens(response, 5)
                inner = pairs[0] if pairs else None
                words += b" ".join(v for v in inner if isinstance(v, bytes)) if isinstance(inner, list) else b""
    return words, frozenset(enabled)


def _literal_limit(capabilities: frozenset[str]) -> int:
    """How long a literal may be that goes out without asking (RFC 7888; IMAP4rev2 brings LITERAL-)."""
    if "LITERAL+" in capabilities:
        return _ANY
    return 4096 if capabilities & {"LITERAL-", "IMAP4REV2"} else 0
