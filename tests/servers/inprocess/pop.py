"""A POP3 server in process, for what Dovecot can't be brought to do (RFC 1939)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from imap.model import Endpoint
from tests.secret import new_secret


@dataclass
class PopServer:
    """Serves `mails`, (UIDL, octets) in order. `answers` gives the answer to a command, None to behave.

    An answer that ends with HANG_UP ends the connection. `heard` is what clients sent.
    """

    mails: list[tuple[bytes, bytes]]
    answers: Callable[[bytes], bytes | None] = lambda _: None
    without: frozenset[bytes] = frozenset()
    offers: tuple[bytes, ...] = (b"UIDL", b"USER", b"PIPELINING")
    password: str = field(default_factory=new_secret, repr=False)
    heard: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = Endpoint("127.0.0.1", self._listener.getsockname()[1], "anna", "off", protocol="pop3")
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.sendall(b"+OK ready\r\n")
            for line in connection.makefile("rb"):
                command = line.rstrip(b"\r\n")
                self.heard.append(b"PASS" if command.startswith(b"PASS") else command)
                answer = self.answers(command)
                answer = self._answer(command) if answer is None else answer
                connection.sendall(answer.removesuffix(HANG_UP))
                if answer.endswith(HANG_UP) or command == b"QUIT":
                    return

    def _answer(self, command: bytes) -> bytes:  # noqa: PLR0911  # a table
        verb, _, rest = command.partition(b" ")
        if verb in self.without:
            return b"-ERR unknown command\r\n"
        match verb:
            case b"CAPA":
                return b"+OK\r\n" + b"".join(b"%b\r\n" % one for one in self.offers) + b".\r\n"
            case b"PASS":
                return b"+OK\r\n" if rest.decode() == self.password else b"-ERR [AUTH] no\r\n"
            case b"LIST":
                return self._many(b"%d" % len(octets) for _, octets in self.mails)
            case b"UIDL":
                return self._many(uidl for uidl, _ in self.mails)
            case b"RETR" | b"TOP":
                lines = self.mails[int(rest.split(b" ")[0]) - 1][1].splitlines(keepends=True)
                stuffed = b"".join(b"." + part if part.startswith(b".") else part for part in lines)
                return b"+OK\r\n" + stuffed + b".\r\n"
            case _:
                return b"+OK\r\n"

    def _many(self, told: Iterator[bytes]) -> bytes:
        return b"+OK\r\n" + b"".join(b"%d %b\r\n" % pair for pair in enumerate(told, 1)) + b".\r\n"


HANG_UP = b"<hang up>"


@contextmanager
def pop_server(
    mails: list[tuple[bytes, bytes]],
    answers: Callable[[bytes], bytes | None] = lambda _: None,
    without: frozenset[bytes] = frozenset(),
) -> Iterator[PopServer]:
    """Run a server for the length of a test."""
    server = PopServer(mails, answers, without)
    try:
        yield server
    finally:
        server.close()
