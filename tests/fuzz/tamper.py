"""A proxy before a real server that lets one response of each connection come to harm."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader

CUT = b"<cut>"
SILENCE = b"<silence>"

Harm = Callable[[bytes], list[bytes]]
"""What goes to the client in place of a response, literals and all; CUT and SILENCE mean what they say."""

_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")
_QUOTED = re.compile(rb'(?<=[ (])"((?:[^"\\\r\n]|\\.)*)"(?=[ )\r])')
_DATA = re.compile(rb"\* (?:LIST|LSUB|STATUS|ESEARCH|NAMESPACE|ID|\d+ FETCH) ")
_LIST = re.compile(rb"(?<=LIST )\([^()]*\)|(?<=FLAGS )\([^()]*\)")

LINES = {
    "garbage": b"* ))) \0\xff garbage {{{ (((\r\n",
    "a tagged answer to nothing": b"X99 OK done\r\n",
    "EXISTS": b"* 99 EXISTS\r\n",
    "EXPUNGE": b"* 1 EXPUNGE\r\n",
    "FETCH": b"* 1 FETCH (FLAGS (\\Deleted))\r\n",
    "STATUS": b"* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 HIGHESTMODSEQ 4)\r\n",
    "ALERT": b"* OK [ALERT] the cellar is under water\r\n",
    "NO": b"* NO [UNAVAILABLE] something did not work\r\n",
    "a line of 2 MB": b"* OK " + b"x" * 2_000_000 + b"\r\n",
    "a long list": b"* LIST (" + b"\\Marked " * 100_000 + b') "/" NIL\r\n',
}
"""Lines that nobody asked for."""

ENDINGS = {"BYE": [b"* BYE going down\r\n", CUT], "a cut": [CUT], "silence": [SILENCE]}


def harms() -> dict[str, Harm]:
    """Return all that can happen to a response, by name; one that would leave it as it is returns it alone."""
    found: dict[str, Harm] = {}
    for name, line in LINES.items():
        found[f"{name} before"] = lambda unit, line=line: [line, unit]  # type: ignore[misc]
        found[f"{name} after"] = lambda unit, line=line: [unit, line]  # type: ignore[misc]
        found[f"{name} within"] = lambda unit, line=line: _within(unit, [line])  # type: ignore[misc]
    for name, end in ENDINGS.items():
        found[f"{name} before"] = lambda _, end=end: end  # type: ignore[misc]
        found[f"{name} after"] = lambda unit, end=end: [unit, *end]  # type: ignore[misc]
        found[f"{name} within"] = lambda unit, end=end: [unit[: len(unit) // 2], *end]  # type: ignore[misc]
    found["strings as literals"] = lambda unit: [_as_literals(unit)]
    found["the first string as NIL"] = lambda unit: [_QUOTED.sub(b"NIL", unit, count=1) if _DATA.match(unit) else unit]
    found["all strings as NIL"] = lambda unit: [_QUOTED.sub(b"NIL", unit) if _DATA.match(unit) else unit]
    found["a list as NIL"] = lambda unit: [_LIST.sub(b"NIL", unit, count=1) if _DATA.match(unit) else unit]
    found["a body as NIL"] = lambda unit: [re.sub(rb"(?s)\{\d+\}\r\n.*\)\r\n\Z", b"NIL)\r\n", unit)]
    found["a body as a bare word"] = lambda unit: [re.sub(rb"(?s)\{\d+\}\r\n.*\)\r\n\Z", b"word)\r\n", unit)]
    found["left out"] = lambda unit: [] if re.match(rb"\* \d+ FETCH|\* E?SEARCH", unit) else [unit]
    found["twice"] = lambda unit: [unit, unit]
    return found


def _within(unit: bytes, pieces: list[bytes]) -> list[bytes]:
    """Break a response in the middle of its first line: octets put into a message are no fault that can be seen."""
    middle = len(unit.split(b"\r\n", 1)[0]) // 2
    return [unit[:middle], *pieces, unit[middle:]]


def _as_literals(unit: bytes) -> bytes:
    if not _DATA.match(unit):
        return unit

    def literal(match: re.Match[bytes]) -> bytes:
        octets = re.sub(rb"\\(.)", rb"\1", match[1])
        return b"{%d}\r\n%b" % (len(octets), octets)

    return _QUOTED.sub(literal, unit)


class Tamperer:
    """Forwards to a port. The response of that number on each connection comes to harm; `heard` is what was sent."""

    def __init__(self, port: int, number: int | None = -1, harm: Harm | None = None) -> None:
        self._server = port
        self._number = number
        self._harm = harm
        self.heard: list[bytes] = []
        self.struck = False
        """Whether a response was changed at all."""
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
                threading.Thread(target=self._tamper, args=(server, client), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
        _end(server)

    def _tamper(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError), server.makefile("rb") as reader:
            for number, unit in enumerate(_units(reader)):
                self.heard.append(unit)
                pieces = self._harm(unit) if self._harm and self._number in (None, number) else [unit]
                self.struck = self.struck or pieces != [unit]
                for piece in pieces:
                    if piece == SILENCE:
                        self._over.wait()
                    if piece in (CUT, SILENCE):
                        _end(client, server)
                        return
                    client.sendall(piece)
        _end(client, server)

    def close(self) -> None:
        """Take no more connections, and end the silence."""
        self._over.set()
        self._listener.close()


def _units(reader: BufferedReader) -> Iterator[bytes]:
    """Yield what the server sends, one response after the other, each with its literals."""
    while unit := reader.readline():
        while match := _LITERAL.search(unit[-20:]):
            unit += reader.read(int(match[1])) + reader.readline()
        yield unit


def _end(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextmanager
def tampering(port: int, number: int | None = -1, harm: Harm | None = None) -> Iterator[Tamperer]:
    """Run a proxy for the length of a test."""
    proxy = Tamperer(port, number, harm)
    try:
        yield proxy
    finally:
        proxy.close()
