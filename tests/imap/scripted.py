"""An IMAP server that plays a script: for what no well-behaved server can be brought to do."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from imap.model import Endpoint, Login
from imap.session import Session, open_session
from tests.secret import new_secret

PASSWORD = new_secret()
CAPABILITIES = b"IMAP4rev1 ENABLE CONDSTORE QRESYNC ESEARCH LIST-EXTENDED LIST-STATUS SPECIAL-USE UIDPLUS LITERAL+ ID"
HANG_UP = b"<hang up>"
SILENCE = b"<silence>"

Reply = bytes | Callable[[str], Iterator[bytes]]


@dataclass
class Script:
    """What the server answers: for each pattern its replies in turn, of which the last one repeats.

    In a reply, `TAG` is the command's tag. A command that no pattern knows is answered OK; so are LOGIN and LOGOUT. A
    callable gets the command and yields pieces. HANG_UP and SILENCE, at the end of a reply, mean what they say.
    """

    rules: dict[str, list[Reply]] = field(default_factory=dict)
    greeting: bytes = b"* OK [CAPABILITY " + CAPABILITIES + b"] ready\r\n"
    capabilities: bytes = CAPABILITIES
    wants_literals: bool = True
    tls: ssl.SSLContext | None = None


class Scripted:
    """A server on a thread of its own that takes one connection after the other; `heard` is what clients sent."""

    def __init__(self, script: Script, host: str = "127.0.0.1") -> None:
        self.script = script
        self.host = host
        self.heard: list[str] = []
        self.literals: list[bytes] = []
        self._listener = socket.create_server((host, 0))
        self._open = threading.Event()
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def commands(self, word: str) -> list[str]:
        """Return the commands heard that begin with a word."""
        return [command for command in self.heard if command.upper().startswith(word)]

    def endpoint(self) -> Endpoint:
        """Return where to find it, in plain text."""
        return Endpoint(self.host, self.port, "anna", tls="off")

    def close(self) -> None:
        """Take no more connections, and end the silence."""
        self._open.set()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with suppress(OSError, EOFError):
                    if self.script.tls:
                        connection = self.script.tls.wrap_socket(connection, server_side=True)
                    self._converse(connection)
                connection.close()

    def _converse(self, connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        self._say(connection, self.script.greeting)
        while line := reader.readline():
            text = line.decode("latin-1").rstrip("\r\n")
            tag, _, command = text.rpartition(" ") if " " not in text else text.partition(" ")
            while literal := re.search(r"\{(\d+)(\+?)\}$", command):
                if not literal[2]:
                    if not self.script.wants_literals:
                        break
                    connection.sendall(b"+ go on\r\n")
                self.literals.append(reader.read(int(literal[1])))
                command += " " + reader.readline().decode("latin-1").rstrip("\r\n")
            self.heard.append(command)
            reply = self._reply(command)
            for piece in (reply,) if isinstance(reply, bytes) else reply(command):
                self._say(connection, piece.replace(b"TAG", tag.encode()))

    def _reply(self, command: str) -> Reply:
        for pattern, replies in self.script.rules.items():
            if re.search(pattern, command, re.IGNORECASE):
                return replies.pop(0) if len(replies) > 1 else replies[0]
        if command.upper().startswith(("LOGIN", "AUTHENTICATE")):
            return b"TAG OK [CAPABILITY " + self.script.capabilities + b"] welcome\r\n"
        if command.upper().startswith("LOGOUT"):
            return b"* BYE\r\nTAG OK\r\n" + HANG_UP
        return b"TAG OK done\r\n"

    def _say(self, connection: socket.socket, reply: bytes) -> None:
        words = reply.replace(HANG_UP, b"").replace(SILENCE, b"")
        if words:
            connection.sendall(words)
        if HANG_UP in reply:
            raise EOFError
        if SILENCE in reply:
            self._open.wait()
            raise EOFError


@contextmanager
def scripted(script: Script | None = None, *, host: str = "127.0.0.1") -> Iterator[Scripted]:
    """Run a scripted server for the length of a test."""
    server = Scripted(script or Script(), host)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def scripted_session(
    rules: dict[str, list[Reply]],
    *,
    capabilities: bytes = CAPABILITIES,
    timeout: float = 10,
    wants_literals: bool = True,
) -> Iterator[tuple[Session, Scripted]]:
    """Open a session with a scripted server that behaves until it is logged in; INBOX is open with 9 messages."""
    opening: dict[str, list[Reply]] = {
        "EXAMINE": [b"* 9 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT 10]\r\nTAG OK\r\n"]
    }
    greeting = b"* OK [CAPABILITY " + capabilities + b"] ready\r\n"
    script = Script({**opening, **rules}, greeting, capabilities, wants_literals)
    with (
        scripted(script) as server,
        open_session(server.endpoint(), Login(lambda: PASSWORD), timeout=timeout) as session,
    ):
        session.examine(b"INBOX")
        yield session, server


def body(uid: int, octets: bytes) -> bytes:
    """Write the response that brings one message."""
    return b"* %d FETCH (UID %d BODY[] {%d}\r\n%b)\r\n" % (uid, uid, len(octets), octets)


def uids_of(command: str, newest: int = 0) -> list[int]:
    """Return the UIDs that a `UID FETCH` command asks for; `*` is the newest."""
    out: list[int] = []
    for item in command.replace("*", str(newest)).split(" ")[2].split(","):
        first, _, last = item.partition(":")
        low, high = sorted((int(first), int(last or first)))
        out.extend(range(low, high + 1))
    return out
