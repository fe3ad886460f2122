"""POP3 as a source: one mailbox without flags, messages known by UIDL, nothing ever deleted (RFC 1939, 2449, 2595).

It stands here for what it shares with IMAP: endpoints, logins, TLS, the words of a backup. A session answers the same
questions as one of IMAP, as far as a backup asks them.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Literal, NamedTuple

from imap.belongings import Belongings
from imap.dates import received_date
from imap.errors import ConnectionLost, ImapError, Refused
from imap.model import (
    Endpoint,
    Facts,
    Fetched,
    ListedMailbox,
    Login,
    MailboxStatus,
    Namespace,
    NamespaceKind,
    Namespaces,
    Opened,
)
from imap.pace import Pace
from imap.pop_line import PopLine, connected, log_in
from imap.sets import Range, ranges_of

INBOX = b"INBOX"
_AT_ONCE = 8


class Numbering:
    """Gives each message a UID that it keeps: POP3 knows only names for messages, and numbers for the session.

    `known` are the UIDs that messages have already, by what `key` makes of their UIDL; new ones get the next, from
    `uidnext` on, in the server's order. A message without a UIDL of its own gets a new one each time.
    """

    def __init__(self, known: dict[bytes, int], uidnext: int, key: Callable[[bytes], bytes]) -> None:
        self.uidnext = uidnext
        self._known = known
        self._key = key

    def number(self, uidls: Sequence[bytes]) -> list[int]:
        """Return the UID of each message, from their UIDLs."""
        return [self._one(uidl) for uidl in uidls]

    def _one(self, uidl: bytes) -> int:
        key = self._key(uidl) if uidl else b""
        uid = self._known.get(key, self.uidnext) if key else self.uidnext
        self.uidnext = max(self.uidnext, uid + 1)
        if key:
            self._known[key] = uid
        return uid


class _Listed(NamedTuple):
    number: int
    size: int
    uidl: bytes


def open_pop(
    endpoint: Endpoint,
    login: Login,
    numbering: Numbering,
    *,
    timeout: float,
    pace: Pace | None = None,
) -> PopSession:
    """Connect, go over to TLS as the endpoint demands, log in.

    Raises CannotConnect, UntrustedCertificate, LoginRefused, Throttled, ConnectionLost, BadUrl.
    """
    with ExitStack() as stack:
        line, offered = connected(endpoint, stack, pace, timeout)
        log_in(line, endpoint, login, offered)
        stack.pop_all()
    return PopSession(line, offered, numbering)


class PopSession:
    """One logged-in connection, for one thread at a time. Messages have the UIDs that `numbering` gives them."""

    has_condstore = False
    server_id_kind: Literal["UIDL"] = "UIDL"

    def __init__(self, line: PopLine, offered: frozenset[str], numbering: Numbering) -> None:
        self.opened: bytes | None = None
        self.notes: tuple[str, ...] = ()
        self._line = line
        self._offered = offered
        self._numbering = numbering
        self._messages: dict[int, _Listed] = {}
        self._listed = False

    @property
    def round_trips(self) -> int:
        """How often we waited for the server since TLS was up."""
        return self._line.round_trips

    @property
    def octets_in(self) -> int:
        """How many octets came, after decryption."""
        return self._line.octets_in

    def look(self, also: Collection[NamespaceKind] = ()) -> list[ListedMailbox]:
        """Return the one mailbox there is. A set of messages that is the same has the same four numbers."""
        del also
        self._list()
        status = MailboxStatus(len(self._messages), self._numbering.uidnext, 1)
        return [ListedMailbox("INBOX", INBOX, None, (), None, subscribed=True, status=status)]

    def namespaces(self) -> Namespaces:
        """Return the one there is."""
        return Namespaces((Namespace(b"", None),))

    def belongings(self, raws: Sequence[bytes]) -> dict[bytes, Belongings]:
        """Return none: POP3 knows of no such things."""
        del raws
        return {}

    def examine(self, raw: bytes, *, known: tuple[int, int] | None = None, ahead: int = 0) -> Opened:
        """Open the mailbox."""
        del known, ahead
        self._list()
        self.opened = raw
        return Opened(1, self._numbering.uidnext, len(self._messages), None, frozenset())

    def uids(self, first: int = 1, last: int | None = None) -> Iterator[Range]:
        """Return the UIDs from `first` to `last` as ascending ranges."""
        return iter(ranges_of(self._within(first, last)))

    def flags(self, first: int = 1, last: int | None = None) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yield each UID, without flags."""
        return ((uid, ()) for uid in self._within(first, last))

    def flags_changed_since(self, modseq: int) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yield nothing: there are no flags."""
        del modseq
        return iter(())

    def facts(self, uids: Sequence[int]) -> Iterator[Facts]:
        """Yield what is known of messages; when they came is seen only in themselves."""
        for uid in uids:
            if found := self._messages.get(uid):
                yield Facts(uid, (), "", found.size, found.uidl)

    def messages(self, uids: Sequence[int], *, sizes: Mapping[int, int] | None = None) -> Iterator[Fetched]:
        """Yield each message's exact octets with the date of its newest Received line, several commands under way."""
        del sizes
        at_once = _AT_ONCE if "PIPELINING" in self._offered else 1
        for start in range(0, len(uids), at_once):
            batch = uids[start : start + at_once]
            yield from self._asked(batch, b"TOP %d 2147483647" if "TOP" in self._offered else b"RETR %d")

    def _asked(self, uids: Sequence[int], command: bytes) -> Iterator[Fetched]:
        """Ask for some messages. Many servers mark as seen what RETR gives, but not what TOP does, if it gives all."""
        for uid in uids:
            self._line.send(command % self._messages[uid].number)
        self._line.round_trips += 1
        short = []
        for uid in uids:
            fetched = self._retrieved(uid)
            if command.startswith(b"TOP") and len(fetched.octets or b"") < self._messages[uid].size:
                short.append(uid)
            else:
                yield fetched
        if short:
            yield from self._asked(short, b"RETR %d")

    def _retrieved(self, uid: int) -> Fetched:
        try:
            self._line.hear("reading a message")
        except Refused as refused:
            return Fetched(uid, None, refused.message)
        whole = io.BytesIO()
        for line in self._line.raw_lines():
            whole.write(line)
        octets = whole.getvalue()
        return Fetched(uid, octets, internaldate=received_date(octets))

    def close(self) -> None:
        """Say good-bye and hang up. Never raises. Without QUIT nothing could be deleted; with it nothing is marked."""
        with suppress(ImapError):
            self._line.ask(b"QUIT", "QUIT")
        self._line.close()

    def abort(self) -> None:
        """End whatever another thread is waiting for on this connection."""
        with suppress(OSError):
            self._line.sock.shutdown(socket.SHUT_RDWR)

    def _within(self, first: int, last: int | None) -> list[int]:
        return sorted(uid for uid in self._messages if first <= uid and (last is None or uid <= last))

    def _list(self) -> None:
        """Ask once what is there: during a session neither numbers nor messages change (RFC 1939 §3)."""
        if self._listed:
            return
        sizes = dict(self._pairs(b"LIST"))
        try:
            uidls = dict(self._pairs(b"UIDL"))
        except Refused:
            uidls = {}
        seen: dict[bytes, int] = {}
        for uidl in uidls.values():
            seen[uidl] = seen.get(uidl, 0) + 1
        # A UIDL that two messages share names neither.
        names = [uidl if seen.get(uidl := uidls.get(number, b"")) == 1 else b"" for number in sizes]
        told = zip(self._numbering.number(names), sizes.items(), names, strict=True)
        self._messages = {uid: _Listed(number, _number_of(size), uidl) for uid, (number, size), uidl in told}
        unnamed = names.count(b"")
        note = f"{unnamed} messages have no UIDL of their own and are read anew in each run"
        self.notes = (note,) if unnamed else ()
        self._listed = True

    def _pairs(self, command: bytes) -> Iterator[tuple[int, bytes]]:
        self._line.ask(command, command.decode())
        for line in self._line.lines():
            number, _, rest = line.strip().partition(b" ")
            if not number.isdigit() or len(number) > 10:
                raise ConnectionLost("the server's listing of messages can't be read")
            yield int(number), rest.strip()


def _number_of(size: bytes) -> int:
    first = size.split(b" ")[0]
    return int(first) if first.isdigit() and len(first) < 16 else 0
