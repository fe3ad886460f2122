"""ManageSieve: an account's mail filters, read and written with the login of its mail (RFC 5804)."""

from __future__ import annotations

import base64
import re
import socket
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

from imap.arguments import quoted
from imap.connect import check_fingerprint, tls_context, untrusted
from imap.errors import CannotConnect, ConnectionLost, LoginRefused, Refused
from imap.login import mechanism_for
from imap.model import Endpoint, Login
from imap.tokens import Response, garbage, readable, tokens
from imap.wire import Wire

_STATUS = re.compile(rb"(OK|NO|BYE)\b *(?:\(([^)]*)\) *)?", re.IGNORECASE)
_MOST_OCTETS, _OVERHEAD, _MOST_CHALLENGES = 64 << 20, 100, 100
_CONNECT_SECONDS = 8
_HINT = "check `sieve:` (ManageSieve is port 4190), and that the server runs it"


class Script(NamedTuple):
    """One Sieve script, octets as they are; at most one of an account is active (RFC 5804 §2.7)."""

    name: str
    octets: bytes
    active: bool = False


class _End(NamedTuple):
    """How a command ended: `OK` or `NO`, the response code, and the words."""

    kind: str
    code: str
    words: str


def open_sieve(
    endpoint: Endpoint, login: Login, *, timeout: float, started: Callable[[SieveSession], None] = lambda _: None
) -> SieveSession:
    """Connect, go over to TLS unless the endpoint says not to, and log in.

    `started` is given the session as soon as it can be aborted, before the server has said a word. Raises
    CannotConnect, UntrustedCertificate, LoginRefused, ConnectionLost, BadUrl for a CA file that can't be read.
    """
    try:
        sock = socket.create_connection((endpoint.host, endpoint.port), min(timeout, _CONNECT_SECONDS))
    except (OSError, UnicodeError) as error:
        raise _unreachable(endpoint, error) from None
    session = SieveSession(Wire(sock, sock.makefile("rb"), timeout=timeout), endpoint.host)
    started(session)
    try:
        offered = session.hear_capabilities()
        if endpoint.tls != "off":
            offered = session.start_tls(sock, offered, endpoint, timeout)
        session.log_in(endpoint, login, set(offered.get("SASL", "").upper().split()))
    except BaseException:
        session.hang_up()
        raise
    return session


def _unreachable(endpoint: Endpoint, error: Exception) -> CannotConnect:
    words = getattr(error, "strerror", None) or "no answer" if isinstance(error, OSError) else "unknown host"
    return CannotConnect(f"can't reach ManageSieve at {endpoint.host} port {endpoint.port}: {words}", hint=_HINT)


class SieveSession:
    """One connection; a context manager; for one thread. Every method raises ConnectionLost when the peer is gone."""

    def __init__(self, wire: Wire, host: str) -> None:
        self._wire = wire
        self._host = host

    @property
    def round_trips(self) -> int:
        """How often we waited for the server since TLS was up."""
        return self._wire.round_trips

    def hear_capabilities(self) -> dict[str, str]:
        """Read what the server says of itself at the beginning, and again under TLS."""
        lines, end = self._hear()
        if end.kind != "OK":
            raise CannotConnect(f"ManageSieve at {self._host} turned us away: {end.words}", hint=_HINT)
        told = [[word for word in tokens(line) if isinstance(word, bytes)] for line in lines]
        return {
            words[0].decode("latin-1").upper(): words[1].decode("latin-1") if len(words) > 1 else ""
            for words in told
            if words
        }

    def start_tls(
        self, sock: socket.socket, offered: dict[str, str], endpoint: Endpoint, timeout: float
    ) -> dict[str, str]:
        """Go over to TLS, or refuse to go on; return what the server says then (RFC 5804 §2.2)."""
        if "STARTTLS" not in offered or self.ask(b"STARTTLS")[1].kind != "OK":
            hint = "add ?tls=off to its URL to send everything, the password too, in plain text"
            raise CannotConnect(f"ManageSieve at {endpoint.host} port {endpoint.port} offers no TLS", hint=hint)
        try:
            secured = tls_context(endpoint).wrap_socket(
                sock, server_hostname=endpoint.host, do_handshake_on_connect=False
            )
            # A new reader: what came in plain text after the OK is not to be believed.
            self._wire = Wire(secured, secured.makefile("rb"), timeout=timeout)
            secured.do_handshake()
        except ssl.SSLCertVerificationError as error:
            raise untrusted(error, endpoint) from None
        except (OSError, ValueError) as error:
            raise _unreachable(endpoint, error) from None
        check_fingerprint(secured, endpoint)
        return self.hear_capabilities()

    def log_in(self, endpoint: Endpoint, login: Login, offered: set[str]) -> None:
        """Prove who we are, as for IMAP (RFC 5804 §2.1). No error repeats the secret. Raises LoginRefused."""
        end = self._authenticate(endpoint, login, login.secret(), offered)
        if end.kind != "OK" and login.renew is not None:
            end = self._authenticate(endpoint, login, login.renew(), offered)
        if end.kind != "OK":
            thing = "token" if login.oauth else "password"
            raise LoginRefused(
                f"ManageSieve at {self._host} refuses the login of {endpoint.account}: {end.words or end.kind}",
                hint=f"check the user name and the {thing}; both are those of the account's mail",
            )

    def _authenticate(self, endpoint: Endpoint, login: Login, secret: str, offered: set[str]) -> _End:
        name, initial, after_failure = mechanism_for(endpoint, login, secret, offered)
        if name not in offered:
            hint = "let the server offer it, over TLS at least"
            raise LoginRefused(f"ManageSieve at {self._host} does not offer {name}", hint=hint)
        coded = base64.b64encode(initial)
        self._wire.unspeakable = (secret.encode("utf-8", "surrogateescape"), coded)
        try:
            self._wire.send_line(b'AUTHENTICATE "' + name.encode() + b'" "' + coded + b'"')
            return self._hear(answer=after_failure or b"*")[1]
        finally:
            self._wire.unspeakable = ()

    def scripts(self) -> list[Script]:
        """Return all scripts, sorted by name. Raises Refused."""
        listed = [tokens(line) for line in self._run(b"LISTSCRIPTS", "listing the Sieve scripts")]
        found = []
        for words in listed:
            match words:
                case [bytes() as name, *rest]:
                    active = any(isinstance(word, bytes) and word.upper() == b"ACTIVE" for word in rest)
                    found.append(Script(_name(name), self._get(name), active))
                case _:
                    raise garbage()
        return sorted(found)

    def _get(self, name: bytes) -> bytes:
        lines = self._run(b"GETSCRIPT " + _string(name), f"reading the Sieve script {_name(name)}")
        match [word for line in lines for word in tokens(line)]:
            case [bytes() as octets]:
                return octets
        raise garbage()

    def put(self, name: str, octets: bytes) -> None:
        """Store a script, in place of one of the same name; it is not made active. Raises Refused, with why."""
        command = b"PUTSCRIPT " + _string(name.encode()) + b" {%d+}\r\n" % len(octets) + octets
        self._run(command, f"storing the Sieve script {name}")

    def activate(self, name: str) -> None:
        """Make a script the one that the server runs. Raises Refused."""
        self._run(b"SETACTIVE " + _string(name.encode()), f"activating the Sieve script {name}")

    def abort(self) -> None:
        """Break the connection from another thread."""
        self._wire.abort()

    def hang_up(self) -> None:
        """Close the connection without a word."""
        self._wire.hang_up()

    def close(self) -> None:
        """Log out and hang up. Never raises."""
        try:
            self._wire.send_line(b"LOGOUT")
        except ConnectionLost:
            pass
        finally:
            self._wire.hang_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, command: bytes, what: str) -> list[Response]:
        lines, end = self.ask(command)
        if end.kind != "OK":
            raise Refused(f"{what}: the server says: {end.words or end.kind}", code=end.code)
        return lines

    def ask(self, command: bytes) -> tuple[list[Response], _End]:
        """Send a command; return the lines of its answer, and how it ended."""
        self._wire.send_line(command)
        return self._hear()

    def _hear(self, *, answer: bytes | None = None) -> tuple[list[Response], _End]:
        """Read up to the end of a command; with `answer`, whatever the server asks in between is answered so."""
        lines: list[Response] = []
        said = 0
        while True:
            response = self._wire.response()
            said += len(response.text) + sum(map(len, response.literals)) + _OVERHEAD
            if said > (_MOST_OCTETS if answer is None else _MOST_CHALLENGES * _OVERHEAD):
                raise garbage()  # it never comes to an end
            match = _STATUS.match(response.text)
            if match is None:
                lines.append(response)
                if answer is not None:
                    self._wire.send_line(b'"' + answer + b'"')
                continue
            end = _End(match[1].decode().upper(), (match[2] or b"").decode("latin-1"), self._words(response, match))
            if end.kind == "BYE":
                raise ConnectionLost(f"ManageSieve at {self._host} hung up: {end.words or 'BYE'}")
            return lines, end

    def _words(self, response: Response, match: re.Match[bytes]) -> str:
        words = b" ".join(w for w in tokens(response, match.end()) if isinstance(w, bytes))
        for octets in self._wire.unspeakable:
            words = words.replace(octets, b"[secret]") if octets else words
        return readable(words.replace(b"\r\n", b" "))


def _string(octets: bytes) -> bytes:
    """Return a string argument: quoted where that can say it, else a literal (RFC 5804 §4)."""
    return quoted(octets) or b"{%d+}\r\n" % len(octets) + octets


def _name(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise garbage() from None
