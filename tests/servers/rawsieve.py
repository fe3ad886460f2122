"""ManageSieve on a bare socket: what a server really holds, with none of our own code between."""

from __future__ import annotations

import base64
import re
import socket
from types import TracebackType
from typing import Self


class RawSieve:
    """A logged-in session over plain text; a context manager."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._file = self._socket.makefile("rb")
        self._answer()
        self.do(b'AUTHENTICATE "PLAIN" "' + base64.b64encode(f"\0{user}\0{password}".encode()) + b'"')

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._socket.close()

    def do(self, command: bytes) -> list[bytes]:
        """Send a command that must succeed; returns its lines and literals."""
        self._socket.sendall(command + b"\r\n")
        return self._answer()

    def _answer(self) -> list[bytes]:
        told: list[bytes] = []
        while line := self._file.readline():
            literal = re.search(rb"\{(\d+)\+?\}\r\n$", line)
            octets = self._file.read(int(literal[1])) if literal else b""
            if line.startswith((b"OK", b"NO", b"BYE")):
                if literal:
                    self._file.readline()
                if line.startswith(b"OK"):
                    return told
                raise AssertionError(line + octets)
            told.append(octets if literal else line.strip())
        raise AssertionError("the server hung up")

    def put(self, name: str, script: bytes, *, active: bool = False) -> None:
        """Store a script."""
        self.do(b"PUTSCRIPT %b {%d+}\r\n%b" % (_literal(name), len(script), script))
        if active:
            self.do(b"SETACTIVE " + _literal(name))

    def scripts(self) -> dict[str, bytes]:
        """Return all scripts."""
        lines = [line for line in self.do(b"LISTSCRIPTS") if line.strip() not in (b"", b"ACTIVE")]
        names = [(line.split(b'"')[1] if line.startswith(b'"') else line).decode() for line in lines]
        return {name: self.do(b"GETSCRIPT " + _literal(name))[0] for name in names}

    def active(self) -> str:
        """Return the name of the script that runs; empty where none does."""
        lines = [line for line in self.do(b"LISTSCRIPTS") if line.upper().endswith(b"ACTIVE")]
        return lines[0].split(b'"')[1].decode() if lines else ""


def _literal(name: str) -> bytes:
    octets = name.encode()
    return b"{%d+}\r\n%b" % (len(octets), octets)
