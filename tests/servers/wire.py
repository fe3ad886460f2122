"""IMAP on a bare socket: what a server really says, with none of our own code between."""

from __future__ import annotations

import base64
import re
import socket
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self

SECONDS = 60.0


class Seen(NamedTuple):
    """One message as the server shows it. Flags are sorted, and Recent is apart from them."""

    uid: int
    flags: tuple[str, ...]
    internaldate: str
    octets: bytes
    recent: bool = False


class Answer(NamedTuple):
    """The end of one command (`OK …`) and the responses before it, each as text and literals in turn."""

    end: str
    responses: list[list[bytes]]

    @property
    def ok(self) -> bool:
        """Whether the server said OK."""
        return self.end.upper().startswith("OK")


class CommandRefused(AssertionError):
    """The server said NO or BAD to a command of a test."""


class RawImap:
    """A logged-in session over plain text; a context manager."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self._file = self._socket.makefile("rb")
        self._number = 0
        self.greeting = self._file.readline()
        self.do(b"LOGIN", user.encode(), password.encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Log out and hang up."""
        with suppress(OSError, CommandRefused):
            self.do(b"LOGOUT")
        self._file.close()
        self._socket.close()

    def command(self, text: bytes | str, *literals: bytes) -> Answer:
        """Send a command, with each literal after a space at its end, and read until it is answered."""
        self._number += 1
        tag = b"t%d" % self._number
        line = tag + b" " + (text.encode() if isinstance(text, str) else text)
        before: list[list[bytes]] = []
        for literal in literals:
            self._socket.sendall(line + b" {%d}\r\n" % len(literal))
            while not (response := self._response())[0].startswith(b"+"):
                if response[0].startswith(tag + b" "):
                    return Answer(response[0][len(tag) + 1 :].decode(errors="replace"), before)
                before.append(response)
            line = literal
        self._socket.sendall(line + b"\r\n")
        while not (response := self._response())[0].startswith(tag + b" "):
            before.append(response)
        return Answer(response[0][len(tag) + 1 :].decode(errors="replace"), before)

    def do(self, text: bytes | str, *literals: bytes) -> list[list[bytes]]:
        """Send a command that must succeed; returns the responses. Raises CommandRefused."""
        answer = self.command(text, *literals)
        if not answer.ok:
            raise CommandRefused(answer.end)
        return answer.responses

    def create(self, name: str, *, subscribe: bool = False) -> None:
        """Make a mailbox, and subscribe to it if asked."""
        self.do(b"CREATE", encode_name(name))
        if subscribe:
            self.do(b"SUBSCRIBE", encode_name(name))

    def append(
        self, mailbox: str, octets: bytes, flags: tuple[str, ...] = (), internaldate: str = "10-Mar-2019 04:05:06 +0000"
    ) -> Answer:
        """Add one message, exactly these octets; the answer says whether the server took it."""
        self._number += 1
        tag, name = b"t%d" % self._number, encode_name(mailbox)
        self._socket.sendall(tag + b" APPEND {%d}\r\n" % len(name))
        assert self._response()[0].startswith(b"+")
        details = f' ({" ".join(flags)}) "{internaldate}" {{{len(octets)}}}\r\n'
        self._socket.sendall(name + details.encode())
        response = self._response()
        if response[0].startswith(b"+"):
            self._socket.sendall(octets + b"\r\n")
        while not response[0].startswith(tag + b" "):
            response = self._response()
        return Answer(response[0][len(tag) + 1 :].decode(errors="replace"), [])

    def names(self, command: str = "LIST") -> list[str]:
        """Return the decoded names that LIST (or LSUB) tells, sorted."""
        return sorted(_listed_name(response) for response in self.do(f'{command} "" "*"') if _is(response, command))

    def messages(self, mailbox: str) -> list[Seen]:
        """Read a whole mailbox without touching it."""
        self.do(b"EXAMINE", encode_name(mailbox))
        responses = self.do("UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])")
        return sorted(_seen(response) for response in responses if b" FETCH (" in response[0])

    def account(self) -> dict[str, list[Seen]]:
        """Read all that can be selected, by decoded name."""
        lines = [response for response in self.do('LIST "" "*"') if _is(response, "LIST")]
        closed = re.compile(rb"\\(NoSelect|NonExistent)", re.IGNORECASE)
        names = [_listed_name(line) for line in lines if not closed.search(line[0])]
        return {name: self.messages(name) for name in sorted(names)}

    def status(self, mailbox: str) -> dict[str, int]:
        """Return MESSAGES, UIDNEXT, UIDVALIDITY, RECENT, UNSEEN of a mailbox."""
        pieces = self.do(
            b"STATUS {%d+}\r\n%b (MESSAGES UIDNEXT UIDVALIDITY RECENT UNSEEN)" % _sized(encode_name(mailbox))
        )
        return {key.decode(): int(value) for key, value in re.findall(rb"([A-Z]+) (\d+)", pieces[0][-1])}

    def _response(self) -> list[bytes]:
        parts: list[bytes] = []
        while True:
            line = self._file.readline()
            if not line.endswith(b"\r\n"):
                raise ConnectionError("the server hung up")
            parts.append(line[:-2])
            literal = re.search(rb"\{(\d+)\}$", parts[-1])
            if not literal:
                return parts
            parts.append(self._file.read(int(literal[1])))


def _sized(octets: bytes) -> tuple[int, bytes]:
    return len(octets), octets


def _is(response: list[bytes], kind: str) -> bool:
    return response[0].startswith(b"* " + kind.encode() + b" ")


def _listed_name(response: list[bytes]) -> str:
    if len(response) > 1:
        return decode_name(response[1])
    found = re.match(rb'\* \w+ \([^)]*\) (?:NIL|"\\?.") (.*)$', response[0])
    assert found, response
    name = found[1]
    if name.startswith(b'"'):
        name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
    return decode_name(name)


def _seen(response: list[bytes]) -> Seen:
    outside = b" ".join(part for at, part in enumerate(response) if at % 2 == 0)
    uid, flags = re.search(rb"\bUID (\d+)", outside), re.search(rb"\bFLAGS \(([^)]*)\)", outside)
    date = re.search(rb'\bINTERNALDATE "([^"]*)"', outside)
    assert uid, response[0]
    assert flags, response[0]
    assert date, response[0]
    names = flags[1].decode("latin-1").split()
    kept = tuple(sorted(name for name in names if name.lower() != "\\recent"))
    quoted = re.search(rb'BODY\[\] "((?:[^"\\]|\\.)*)"', outside)
    octets = response[1] if len(response) > 1 else re.sub(rb"\\(.)", rb"\1", quoted[1] if quoted else b"")
    return Seen(int(uid[1]), kept, date[1].decode(), octets, len(kept) < len(names))


def encode_name(name: str) -> bytes:
    """Return a mailbox name in modified UTF-7 (RFC 3501 §5.1.3)."""
    pieces = re.split(r"([^ -~]+)", name)
    return b"".join(
        b"&" + base64.b64encode(piece.encode("utf-16-be")).rstrip(b"=").replace(b"/", b",") + b"-"
        if at % 2
        else piece.replace("&", "&-").encode()
        for at, piece in enumerate(pieces)
    )


def decode_name(raw: bytes) -> str:
    """Return what a name in modified UTF-7 says (RFC 3501 §5.1.3)."""

    def decoded(found: re.Match[str]) -> str:
        text = found[1].replace(",", "/")
        return base64.b64decode(text + "=" * (-len(text) % 4)).decode("utf-16-be") if text else "&"

    return re.sub(r"&([^-]*)-", decoded, raw.decode())
