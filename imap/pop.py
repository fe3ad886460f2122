"""POP3 as a source: one mailbox without flags, messages known by UIDL, nothing ever deleted (RFC 1939, 2449, 2595).

It stands here for what it shares with IMAP: endpoints, logins, TLS, the words of a backup. A session answers the same
questions as one of IMAP, as far as a backup asks them.
"""

from __future__ import annotations

import base64
import io
import re
import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from typing import Literal, NamedTuple

from imap.belongings import Belongings
from imap.connect import check_fingerprint, explain, tls_context
from imap.dates import received_date
from imap.errors import CannotConnect, ConnectionLost, ImapError, LoginRefused, Refused, Throttled
from imap.login import mechanism_for
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
from imap.pace import Pace, PacedReader
from imap.sets import Range, ranges_of
from imap.tokens import readable

INBOX = b"INBOX"
_LONGEST_LINE = 64 << 20
_MOST_OCTETS = 4 << 30
_AT_ONCE = 8
_BUSY = re.compile(rb"-ERR \[(?:IN-USE|LOGIN-DELAY|SYS/TEMP)\]", re.IGNORECASE)
"""RFC 2449 §8.1, RFC 3206."""


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
        line, offered = _connected(endpoint, stack, pace, timeout)
        _log_in(line, endpoint, login, offered)
        stack.pop_all()
    return PopSession(line, offered, numbering)


def _connected(endpoint: Endpoint, stack: ExitStack, pace: Pace | None, timeout: float) -> tuple[_Line, frozenset[str]]:
    try:
        sock = stack.enter_context(socket.create_connection((endpoint.host, endpoint.port), timeout))
        if endpoint.tls == "implicit":
            sock = stack.enter_context(tls_context(endpoint).wrap_socket(sock, server_hostname=endpoint.host))
        line = stack.enter_context(closing(_Line(sock, pace, timeout)))
        line.hear("the greeting")
        offered = line.capabilities()
        if endpoint.tls == "starttls":
            sock = stack.enter_context(_start_tls(line, offered, endpoint))
            line = stack.enter_context(closing(_Line(sock, pace, timeout)))
            offered = line.capabilities()
        check_fingerprint(sock, endpoint)
        if "UTF8" in offered:
            # Whoever does not ask for it gets a made-up mail in place of one with UTF-8 in its header (RFC 6856 §2)
            line.ask(b"UTF8", "UTF8")
    except (OSError, ValueError) as error:
        raise explain(error, endpoint, timeout) from None
    except Refused as refused:
        raise CannotConnect(f"{endpoint.host} turned us away: {refused.message}", hint="see its log") from None
    return line, offered


def _start_tls(plain: _Line, offered: frozenset[str], endpoint: Endpoint) -> socket.socket:
    if "STLS" not in offered:
        hint = "use pop3s:// (port 995), or add ?tls=off to send everything, the password too, in plain text"
        raise CannotConnect(f"{endpoint.host} does not offer STLS on port {endpoint.port}", hint=hint)
    plain.ask(b"STLS", "STLS")
    return tls_context(endpoint).wrap_socket(plain.sock, server_hostname=endpoint.host)


def _log_in(line: _Line, endpoint: Endpoint, login: Login, offered: frozenset[str]) -> None:
    try:
        _try(line, endpoint, login, login.secret(), offered)
    except Refused:
        if login.renew is None:
            raise _login_refused(endpoint, login) from None
        try:
            _try(line, endpoint, login, login.renew(), offered)
        except Refused:
            raise _login_refused(endpoint, login) from None


def _try(line: _Line, endpoint: Endpoint, login: Login, secret: str, offered: frozenset[str]) -> None:
    """Log in; no error repeats the secret, so none repeats the server's words."""
    if not (login.oauth or endpoint.acting_as):
        line.ask(b"USER " + _octets(endpoint.user), "login")
        line.ask(b"PASS " + _octets(secret), "login")
        return
    name, initial, after_failure = mechanism_for(endpoint, login, secret, set(offered))
    answer = line.exchange(b"AUTH %b %b" % (name.encode(), base64.b64encode(initial)))
    if answer.startswith(b"+ "):
        answer = line.exchange(after_failure or b"*")
    line.check(answer, "login")


def _login_refused(endpoint: Endpoint, login: Login) -> LoginRefused:
    thing = "token" if login.oauth else "password"
    hint = f"check the user name and the {thing}"
    return LoginRefused(f"{endpoint.host} refuses the POP3 login of {endpoint.user}", hint=hint)


def _octets(text: str) -> bytes:
    octets = text.encode("utf-8", "surrogateescape")
    if any(octet in octets for octet in b"\r\n\0"):
        raise Refused("a name or password that no line can hold")
    return octets


class _Line:
    """Lines out, answers in. Raises ConnectionLost when the peer hangs up, falls silent or talks nonsense."""

    def __init__(self, sock: socket.socket, pace: Pace | None, timeout: float) -> None:
        self.sock = sock
        self.round_trips = 0
        self.octets_in = 0
        self._timeout = timeout
        plain = sock.makefile("rb")
        self._reader = plain if pace is None else io.BufferedReader(PacedReader(plain, pace))

    def capabilities(self) -> frozenset[str]:
        """Ask what the server offers; nothing where it does not know the question. SASL mechanisms are in it too."""
        try:
            self.ask(b"CAPA", "CAPA")
        except Refused:
            return frozenset()
        words = [line.decode("latin-1").upper().split() for line in self.lines()]
        sasl = [mechanism for told in words if told[:1] == ["SASL"] for mechanism in told[1:]]
        return frozenset([*(told[0] for told in words if told), *sasl])

    def ask(self, command: bytes, what: str) -> bytes:
        """Send a command and return the words of its `+OK`. Raises Refused, Throttled."""
        return self.check(self.exchange(command), what)

    def exchange(self, command: bytes) -> bytes:
        """Send a line and return the one that answers it."""
        self.send(command)
        self.round_trips += 1
        return self.line()

    def hear(self, what: str) -> bytes:
        """Read an answer; return its words. Raises Refused, Throttled."""
        return self.check(self.line(), what)

    def check(self, answer: bytes, what: str) -> bytes:
        """Return the words of a `+OK`. Raises Refused, Throttled, and ConnectionLost where it is neither answer."""
        if answer.upper().startswith(b"+OK"):
            return answer[4:]
        if not answer.upper().startswith(b"-ERR"):
            raise ConnectionLost(f"the server does not answer as a POP3 server does: {readable(answer, 80)}")
        words = f"{what}: the server says: {readable(answer[5:], 200) or '-ERR'}"
        if _BUSY.match(answer):
            raise Throttled(words, hint="the server is busy, or somebody else reads the mailbox; try again later")
        raise Refused(words)

    def send(self, command: bytes) -> None:
        """Send a line."""
        with self._losing():
            self.sock.sendall(command + b"\r\n")

    def line(self) -> bytes:
        """Read a line, without its end."""
        return self._raw().rstrip(b"\r\n")

    def lines(self) -> Iterator[bytes]:
        """Yield a multi-line answer's lines up to its end, without theirs."""
        for raw in self.raw_lines():
            yield raw.rstrip(b"\r\n")

    def raw_lines(self) -> Iterator[bytes]:
        """Yield the lines of a multi-line answer as they are, but for the dot that was put before a dot."""
        said = 0
        while (line := self._raw()) not in (b".\r\n", b".\n"):
            said += len(line)
            if said > _MOST_OCTETS:
                raise ConnectionLost("the server's answer never comes to an end")
            yield line[1:] if line.startswith(b".") else line

    def _raw(self) -> bytes:
        with self._losing():
            line = self._reader.readline(_LONGEST_LINE)
        self.octets_in += len(line)
        if not line.endswith(b"\n"):
            raise ConnectionLost("the server closed the connection" if len(line) < _LONGEST_LINE else "endless line")
        return line

    def _losing(self) -> _Losing:
        return _Losing(self._timeout)

    def close(self) -> None:
        """Close the connection without a word."""
        for thing in (self._reader, self.sock):
            with suppress(OSError):
                thing.close()


class _Losing:
    """Turns what breaks a connection into ConnectionLost."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> Literal[False]:
        if isinstance(error, TimeoutError):
            raise ConnectionLost(f"the server has been silent for {self._timeout:g} seconds") from None
        if isinstance(error, OSError | ValueError):
            raise ConnectionLost("the connection broke") from None
        return False


class PopSession:
    """One logged-in connection, for one thread at a time. Messages have the UIDs that `numbering` gives them."""

    has_condstore = False
    server_id_kind: Literal["UIDL"] = "UIDL"

    def __init__(self, line: _Line, offered: frozenset[str], numbering: Numbering) -> None:
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

    def examine(self, raw: bytes, *, known: tuple[int, int] | None = None) -> Opened:
        """Open the mailbox."""
        del known
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
