"""POP3's connection: TLS, login, lines out and answers in (RFC 1939, 2449, 2595, 6856)."""

from __future__ import annotations

import base64
import io
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from typing import Literal

from imap.connect import check_fingerprint, explain, tls_context
from imap.errors import CannotConnect, ConnectionLost, LoginRefused, Refused, Throttled
from imap.login import mechanism_for
from imap.model import Endpoint, Login
from imap.pace import Pace, PacedReader
from imap.tokens import readable

_LONGEST_LINE = 64 << 20
_MOST_OCTETS = 4 << 30
_BUSY = re.compile(rb"-ERR \[(?:IN-USE|LOGIN-DELAY|SYS/TEMP)\]", re.IGNORECASE)
"""RFC 2449 §8.1, RFC 3206."""


def connected(
    endpoint: Endpoint, stack: ExitStack, pace: Pace | None, timeout: float
) -> tuple[PopLine, frozenset[str]]:
    """Connect, go over to TLS as the endpoint demands; return what the server offers too. Raises ImapError."""
    try:
        sock = stack.enter_context(socket.create_connection((endpoint.host, endpoint.port), timeout))
        if endpoint.tls == "implicit":
            sock = stack.enter_context(tls_context(endpoint).wrap_socket(sock, server_hostname=endpoint.host))
        line = stack.enter_context(closing(PopLine(sock, pace, timeout)))
        line.hear("the greeting")
        offered = line.capabilities()
        if endpoint.tls == "starttls":
            sock = stack.enter_context(_start_tls(line, offered, endpoint))
            line = stack.enter_context(closing(PopLine(sock, pace, timeout)))
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


def _start_tls(plain: PopLine, offered: frozenset[str], endpoint: Endpoint) -> socket.socket:
    if "STLS" not in offered:
        hint = "use pop3s:// (port 995), or add ?tls=off to send everything, the password too, in plain text"
        raise CannotConnect(f"{endpoint.host} does not offer STLS on port {endpoint.port}", hint=hint)
    plain.ask(b"STLS", "STLS")
    return tls_context(endpoint).wrap_socket(plain.sock, server_hostname=endpoint.host)


def log_in(line: PopLine, endpoint: Endpoint, login: Login, offered: frozenset[str]) -> None:
    """Log in, with another token where the first is refused. Raises LoginRefused, Throttled, ConnectionLost."""
    try:
        _try(line, endpoint, login, login.secret(), offered)
    except Refused:
        if login.renew is None:
            raise _login_refused(endpoint, login) from None
        try:
            _try(line, endpoint, login, login.renew(), offered)
        except Refused:
            raise _login_refused(endpoint, login) from None


def _try(line: PopLine, endpoint: Endpoint, login: Login, secret: str, offered: frozenset[str]) -> None:
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


class PopLine:
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
