"""APPEND: messages go out exactly as they are, many in one command where the server can (RFC 3502, 4315, 7888)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from imap.arguments import Octets, Part, astring
from imap.errors import ConnectionLost, ImapError, Refused, Throttled
from imap.model import Appended, Outgoing
from imap.refusal import refusal
from imap.sets import parse_ranges
from imap.tokens import Status, number
from imap.wire import Wire

BATCH_OCTETS = 8 << 20
BATCH_MESSAGES = 100
_WHAT = "storing messages"
_DATE = re.compile(
    r"[ 0-3]\d-(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-\d{4} \d\d:\d\d:\d\d [+-]\d{4}", re.ASCII
)
_TROUBLESOME_DATE = re.compile(r".{7}(?:0\d{3}|1[0-8]\d\d|19[0-6]\d|1970|20[4-9]\d|203[89]|2[1-9]\d\d)|.*:6\d ")
_SYSTEM = {"\\seen", "\\answered", "\\flagged", "\\deleted", "\\draft"}
_FLAG = re.compile(rb"\\?[^\x00-\x20(){%*\"\\\]\x7f-\xff]+")
_OVER_QUOTA = re.compile(r"over.?quota|quota.{0,20}exceeded|exceed.{0,20}quota", re.IGNORECASE)
_NO_USE_TO_ALTER = {"OVERQUOTA", "TOOBIG", "LIMIT", "TRYCREATE", "NOPERM"}


class AppendInterrupted(ConnectionLost):
    """The connection broke in the middle of storing; `done` tells what became of the first messages, in order.

    The one after them may be stored or not; look before sending it again. `wait` is how many seconds the server asked
    us to wait, where it was the server that interrupted.
    """

    def __init__(self, cause: ImapError, done: Sequence[Appended]) -> None:
        super().__init__(cause.message, hint=cause.hint)
        self.done = tuple(done)
        self.wait = cause.wait if isinstance(cause, Throttled) else None


def append(
    wire: Wire, raw: bytes, outgoing: Sequence[Outgoing], capabilities: frozenset[str], *, name: str
) -> list[Appended]:
    """Store messages in a mailbox; one result for each, in order.

    Raises Refused with code `TRYCREATE` when the mailbox is not there, Throttled when nothing is stored yet, and
    AppendInterrupted (a ConnectionLost) with what is known to be done.
    """
    done: list[Appended] = []
    try:
        for batch in _batches(outgoing, many="MULTIAPPEND" in capabilities):
            for result in _store(wire, raw, batch, name):
                done.append(result)  # noqa: PERF402  # what is stored before an error must not be forgotten
    except (ConnectionLost, Throttled) as error:
        if isinstance(error, Throttled) and not done:
            raise
        raise AppendInterrupted(error, done) from None
    return done


def _batches(outgoing: Sequence[Outgoing], *, many: bool) -> Iterator[Sequence[Outgoing]]:
    """Cut into commands. A message without a single octet goes alone: `{0}` makes servers drop the whole command."""
    start = total = 0
    for position, message in enumerate(outgoing):
        size = len(message.octets)
        alone = not size or (position > start and not outgoing[position - 1].octets)
        full = position - start >= (BATCH_MESSAGES if many else 1) or total + size > BATCH_OCTETS
        if position > start and (alone or full):
            yield outgoing[start:position]
            start, total = position, 0
        total += size
    if start < len(outgoing):
        yield outgoing[start:]


def _store(wire: Wire, raw: bytes, batch: Sequence[Outgoing], name: str) -> Iterator[Appended]:
    """Store a batch in one command; where it is refused, one by one, so that only the culprit stays out."""
    status = _command(wire, raw, batch)
    if status.ok:
        yield from _stored(status, batch)
        return
    error = refusal(status, f"storing in {name}")
    if isinstance(error, Throttled):
        raise error
    # GNU's imap4d writes the code after its first word.
    if (status.code_name == "TRYCREATE" or "[TRYCREATE]" in status.text) and not _is_there(wire, raw):
        raise Refused(error.message, code="TRYCREATE")
    if len(batch) == 1:
        yield _once_more(wire, raw, batch[0], status)
        return
    for message in batch:
        yield from _store(wire, raw, [message], name)


def _command(wire: Wire, raw: bytes, batch: Sequence[Outgoing]) -> Status:
    parts: list[Part] = [b"APPEND ", astring(raw)]
    for message in batch:
        flags = b" ".join(sendable(message.flags))
        parts.append(b" (" + flags + b")")
        if _DATE.fullmatch(message.internaldate):
            parts.append(b' "' + message.internaldate.encode("ascii") + b'"')
        parts += (b" ", Octets(message.octets))
    return wire.ask(*parts, what=_WHAT)[1]


def sendable(flags: Sequence[str]) -> Iterator[bytes]:
    """Yield what may stand in a flag list; the rest would break the command (RFC 9051 §9, flag)."""
    for flag in flags:
        octets = flag.encode("latin-1", "replace")
        if flag.lower() != "\\recent" and _FLAG.fullmatch(octets):
            yield octets


def _loses_flags(message: Outgoing) -> bool:
    sent = set(sendable(message.flags))
    return any(f.encode("latin-1", "replace") not in sent for f in message.flags if f.lower() != "\\recent")


def _stored(status: Status, batch: Sequence[Outgoing]) -> list[Appended]:
    """Read `[APPENDUID 38505 3955,3960:3962]`: UIDs in the order of the messages (RFC 4315 §3)."""
    uids: list[int] = []
    uidvalidity = None
    words = status.code.split(b" ")
    if status.code_name == "APPENDUID" and len(words) == 3:
        uidvalidity = number(words[1])
        with suppress(ConnectionLost):  # what is stored is stored, whatever UIDs the server makes up
            for first, last in islice(parse_ranges(words[2]), len(batch)):
                uids.extend(range(first, min(last, first + len(batch)) + 1))
    told: Sequence[int | None] = uids if uidvalidity and len(uids) == len(batch) else [None] * len(batch)
    return [
        Appended(uid, uidvalidity=uidvalidity if uid else None, altered=_altered(message))
        for uid, message in zip(told, batch, strict=True)
    ]


def _altered(message: Outgoing) -> tuple[str, ...]:
    """Name what had to stay out of the command."""
    undated = bool(message.internaldate) and not _DATE.fullmatch(message.internaldate)
    return ("internaldate",) * undated + ("keywords",) * _loses_flags(message)


def _once_more(wire: Wire, raw: bytes, message: Outgoing, status: Status) -> Appended:
    """Try a refused message without what servers are known to refuse: an odd date, then keywords."""
    refused = Appended(None, _words(status), _code(status))
    if refused.code in _NO_USE_TO_ALTER:
        return refused
    plainer = message
    altered: tuple[str, ...] = ()
    if _TROUBLESOME_DATE.match(message.internaldate):
        plainer = replace(plainer, internaldate="")
        altered += ("internaldate",)
        if (status := _command(wire, raw, [plainer])).ok:
            return _stored(status, [plainer])[0]._replace(altered=altered)
    if any(f.lower() not in _SYSTEM for f in message.flags) and not _is_about_octets(status):
        plainer = replace(plainer, flags=tuple(f for f in message.flags if f.lower() in _SYSTEM))
        altered += ("keywords",)
        if (status := _command(wire, raw, [plainer])).ok:
            return _stored(status, [plainer])[0]._replace(altered=altered)
    return refused


def _code(status: Status) -> str:
    """Return the response code, or the one that the words stand for: Courier says only that the quota is exceeded."""
    return "OVERQUOTA" if not status.code_name and _OVER_QUOTA.search(status.text) else status.code_name


def _is_about_octets(status: Status) -> bool:
    """Whether the server complains of the content, which no other flags would change."""
    return (
        status.kind == "NO"
        and re.search(r"message|header|newline|nul|byte|literal", status.text, re.IGNORECASE) is not None
    )


def _words(status: Status) -> str:
    return f"the server says: {status.text or status.kind}"


def _is_there(wire: Wire, raw: bytes) -> bool:
    """Whether the mailbox exists; some servers say TRYCREATE of any message they dislike."""
    return wire.ask(b"STATUS ", astring(raw), b" (MESSAGES)", what="looking for the mailbox")[1].ok
