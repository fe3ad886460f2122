"""The wire below a session: commands with their literals out, responses in, nothing bounded but time and nonsense.

It takes over the connection that imapclient made. imaplib's own reader caps a line at 1,000,000 octets and keeps all
responses of a command; this one hands out one response at a time, so several FETCH commands may be under way while one
message is in memory, and what we don't read yet waits in the kernel's buffers.
"""

from __future__ import annotations

import io
import re
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress

from imap.arguments import Part
from imap.errors import ConnectionLost
from imap.refusal import farewell, refusal
from imap.sets import parse_ranges
from imap.tokens import LITERAL_AT_END, Response, Status, garbage, kind_of, parse_status

_LONGEST_LINE = 64 << 20
_LONGEST_LITERAL = 4 << 30
_SLICE = 1 << 18
_MOST_OCTETS, _OVERHEAD = 1 << 30, 100
_COUNTS = re.compile(rb"\* (?:\d+ (?:EXISTS|EXPUNGE)\b|VANISHED )", re.IGNORECASE)
_NO_LITERAL = re.compile(rb"\S+ (?:OK|NO|BAD|BYE|PREAUTH)\b", re.IGNORECASE)


class Wire:
    """Commands out, responses in, over a connected socket. Not for two threads at a time.

    `round_trips` counts how often we had to wait for answers to what we had sent: commands sent together count once.
    `exists` is how many messages the open mailbox has by the server's latest word.
    `literal_limit` is the longest literal that may go out unasked (RFC 7888): 0, 4096, or more than any.
    `unspeakable` are octets that no server's words may carry into an error or a log: the secret, during login.
    Every method raises ConnectionLost when the peer hangs up, falls silent or talks nonsense; `dead` is then True.
    """

    def __init__(self, sock: socket.socket, reader: io.BufferedIOBase, *, timeout: float) -> None:
        self.literal_limit = 0
        self.round_trips = 0
        self.octets_in = 0
        self.dead = False
        self.exists = 0
        self.unspeakable: tuple[bytes, ...] = ()
        self._sock = sock
        self._reader = reader
        self._timeout = timeout
        self._count = 0
        self._sent = False
        self._pushed: deque[Response] = deque()
        self._under_way: set[bytes] = set()
        self._finished: dict[bytes, Status] = {}
        self._abandoned: list[bytes] = []
        self._streaming = False
        sock.settimeout(timeout)
        # Else the kernel holds back a command's last piece until the server has acknowledged the one before.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self, *parts: Part, what: str) -> tuple[list[Response], Status]:
        """Send a command, return all untagged responses up to its end. Raises Refused or Throttled on NO and BAD."""
        responses, status = self.ask(*parts, what=what)
        if not status.ok:
            raise refusal(status, what)
        return responses, status

    def ask(self, *parts: Part, what: str) -> tuple[list[Response], Status]:
        """Like `run`, but NO and BAD are an answer too."""
        return self.collect(self.start(*parts, what=what), what=what)

    def collect(self, tag: bytes, *, what: str) -> tuple[list[Response], Status]:
        """Return all untagged responses up to the end of a command that was started."""
        responses: list[Response] = []
        return responses, self.feed(tag, responses.append, what=what)

    def feed(self, tag: bytes, each: Callable[[Response], None], *, what: str) -> Status:
        """Hand over each untagged response up to the end of a command that was started; return how it ended."""
        stream = self.stream(tag, what=what)
        literals = 0
        while True:
            try:
                response = next(stream)
            except StopIteration as end:
                status: Status = end.value
                return status
            if response.literals:
                literals += sum(map(len, response.literals))
                self._bound(literals)
            each(response)

    def start(self, *parts: Part, what: str, streaming: bool = False) -> bytes:
        """Send a command and return its tag; the answer is read later with `stream` or `collect`."""
        if self._streaming and not streaming:
            raise RuntimeError("read or close messages() first: its answers are still on the wire")
        self._drain()
        self._count += 1
        tag = b"R%d" % self._count
        self._under_way.add(tag)
        line = bytearray(tag + b" ")
        for part in parts:
            if isinstance(part, bytes):
                line += part
            elif not self._literal(line, part.value, tag, what):
                return tag
            if len(line) >= _SLICE:
                self._send(line)
                line.clear()
        self._send(line + b"\r\n")
        return tag

    def stream(self, tag: bytes, *, what: str) -> Generator[Response, None, Status]:
        """Yield untagged responses until the command of that tag has ended; return how it ended."""
        said = 0
        while tag not in self._finished:
            response = self._next()
            text = response.text
            said += len(text) + _OVERHEAD
            self._bound(said)
            if text.startswith(b"* "):
                if text[2:6].upper() == b"BYE " or text[2:].upper() == b"BYE":
                    self.dead = True
                    raise farewell(self._status(text), what)
                if _COUNTS.match(text):
                    self._recount(response)
                yield response
            elif not text.startswith(b"+"):
                self._finish(text)
        return self._finished.pop(tag)

    def response(self) -> Response:
        """Return the next response, whatever it is: for ManageSieve, which has no tags (RFC 5804)."""
        return self._next()

    def send_line(self, line: bytes) -> None:
        """Answer a continuation request (AUTHENTICATE), or give a command that has no tag."""
        self._send(line + b"\r\n")

    def invitation(self, tag: bytes, *, what: str) -> bytes | None:
        """Wait for a continuation request and return its text; None where the command has ended instead."""
        if not self._invited(tag, what):
            return None
        return self._invitation

    def hold(self) -> None:
        """Say that answers to several commands are being read piece by piece, until `release`."""
        self._streaming = True

    def release(self, unread: Iterable[bytes] = ()) -> None:
        """Say that nobody reads on; answers to the `unread` tags are thrown away before the next command."""
        self._streaming = False
        self._abandoned.extend(unread)

    def quit(self, wait: float) -> None:
        """Log out if somebody may hear it, wait at most `wait` seconds for the answer, hang up. Never raises."""
        try:
            if not (self.dead or self._streaming or self._abandoned):
                self._timeout = min(self._timeout, wait)
                self._sock.settimeout(self._timeout)
                tag = self.start(b"LOGOUT", what="logout")
                end = time.monotonic() + self._timeout
                while time.monotonic() < end:
                    if self._next().text.split(b" ", 1)[0] == tag:
                        break
        except (ConnectionLost, OSError):
            pass
        finally:
            self.hang_up()

    def abort(self) -> None:
        """End whatever another thread is waiting for on this connection; it gets ConnectionLost."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def hang_up(self) -> None:
        """Close the connection without a word."""
        self.dead = True
        for thing in (self._reader, self._sock):
            try:
                thing.close()
            except OSError:
                continue

    def _recount(self, response: Response) -> None:
        """Follow how many messages the open mailbox has; the server may say so at any time."""
        kind, number = kind_of(response)
        if kind == b"EXISTS":
            self.exists = number
        elif kind == b"EXPUNGE":
            self.exists -= 1
        elif b"(" not in response.text:  # EARLIER ones were not counted in the first place
            self.exists -= sum(last - first + 1 for first, last in parse_ranges(response.text[11:]))

    def _literal(self, line: bytearray, value: bytes, tag: bytes, what: str) -> bool:
        """Put a literal on the line, or send both; False when the server does not want it."""
        # Without the extension even an empty literal must ask.
        unasked = 0 < self.literal_limit >= len(value)
        line += b"{%d%b}\r\n" % (len(value), b"+" if unasked else b"")
        if unasked and len(value) < _SLICE:
            line += value
            return True
        self._send(line)
        line.clear()
        if not unasked and not self._invited(tag, what):
            return False
        self._send(value)
        return True

    def _invited(self, tag: bytes, what: str) -> bool:
        """Wait for `+`; False when the command was refused instead, which `stream` will then tell."""
        kept: list[Response] = []
        while tag not in self._finished:
            response = self._next()
            if response.text.startswith(b"+"):
                self._invitation = response.text[2:]
                self._pushed.extend(kept)
                return True
            if response.text.startswith(b"* "):
                if response.text[2:6].upper() == b"BYE ":
                    self.dead = True
                    raise farewell(self._status(response.text), what)
                kept.append(response)
            else:
                self._finish(response.text)
        self._pushed.extend(kept)
        return False

    _invitation = b""

    def _finish(self, text: bytes) -> None:
        """Note how a command ended. An answer to none that is under way would be taken for that of a later one."""
        tag = text.split(b" ", 1)[0]
        status = self._status(text)
        if tag not in self._under_way:
            self.dead = True
            raise garbage()
        self._under_way.remove(tag)
        self._finished[tag] = status

    def _bound(self, octets: int) -> None:
        """Stop listening to a server that never comes to an end: what it says is kept until it does."""
        if octets > _MOST_OCTETS:
            self.dead = True
            raise garbage()

    def _status(self, text: bytes) -> Status:
        for octets in self.unspeakable:
            text = text.replace(octets, b"[secret]")
        status = parse_status(text)
        if status is None:
            self.dead = True
            raise garbage()
        return status

    def _drain(self) -> None:
        while self._abandoned:
            tag = self._abandoned.pop(0)
            for _ in self.stream(tag, what="reading on"):
                pass
            self._finished.pop(tag, None)

    def _next(self) -> Response:
        if self._pushed:
            return self._pushed.popleft()
        if self.dead:
            raise ConnectionLost("the connection is closed")
        if self._sent:
            self._sent = False
            self.round_trips += 1
        try:
            return self._read()
        except (OSError, ValueError, MemoryError) as error:
            self.dead = True
            raise _lost(error, self._timeout) from None
        except ConnectionLost:
            self.dead = True
            raise

    def _read(self) -> Response:
        line = self._line()
        if not line.endswith((b"}\r\n", b"}\n")) or _NO_LITERAL.match(line):
            return Response(line.rstrip(b"\r\n"))
        text, literals = bytearray(), []
        while match := LITERAL_AT_END.search(line):
            text += line
            literals.append(self._octets(int(match[1])))
            line = self._line()
        return Response(bytes(text + line.rstrip(b"\r\n")), tuple(literals))

    def _line(self) -> bytes:
        line = self._reader.readline(_LONGEST_LINE)
        self.octets_in += len(line)
        if not line.endswith(b"\n"):
            if len(line) >= _LONGEST_LINE:
                raise garbage()
            raise ConnectionLost("the server closed the connection")
        return line

    def _octets(self, size: int) -> bytes:
        """Read a literal, straight into the one object that holds it."""
        if size > _LONGEST_LITERAL:
            raise garbage()
        octets = self._reader.read(size)
        self.octets_in += len(octets)
        if len(octets) < size:
            raise ConnectionLost("the server closed the connection")
        return octets

    def _send(self, data: bytes | bytearray) -> None:
        """Send all; the time limit holds for each slice, not for the whole."""
        if self.dead:
            raise ConnectionLost("the connection is closed")
        self._sent = True
        view = memoryview(data)
        try:
            while view:
                view = view[self._sock.send(view[:_SLICE]) :]
        except OSError as error:
            raise self._last_words(error) from None

    def _last_words(self, error: OSError) -> Exception:
        """Hear why the server hung up while we were still sending, if it said so."""
        try:
            self._sock.settimeout(min(self._timeout, 2))
            for _ in range(100):
                response = self._read()
                if response.text[2:5].upper() == b"BYE":
                    return farewell(self._status(response.text), "sending")
        except (OSError, ValueError, ConnectionLost):
            pass
        finally:
            self.dead = True
        return _lost(error, self._timeout)


def _lost(error: BaseException, timeout: float) -> ConnectionLost:
    if isinstance(error, TimeoutError):
        return ConnectionLost(f"the server has been silent for {timeout:g} seconds")
    if isinstance(error, MemoryError):
        return ConnectionLost("the server announced more octets than fit into memory")
    words = getattr(error, "strerror", None)
    return ConnectionLost(f"the connection broke: {words}" if words else "the connection broke")
