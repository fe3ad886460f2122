"""Message bodies: several FETCH commands under way, one message in memory, and one bad message never costs another."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from imap.errors import Throttled
from imap.model import GONE, Fetched
from imap.refusal import refusal
from imap.scan import present, uid_of
from imap.sets import split, write_set
from imap.tokens import Response, Status, fetch_attributes
from imap.wire import Wire

BATCH_OCTETS = 8 << 20
BATCH_MESSAGES = 200
_WHAT = "reading messages"
_FAILED_IN_A_ROW = 20
_BODY_ALONE = re.compile(rb"\* \d+ FETCH \(UID (\d{1,9}) BODY\[\] \{\d+\}\r\n\)")
_QUOTED_BODY = re.compile(rb'BODY\[\](?:<0>)? +"', re.IGNORECASE)


@dataclass(slots=True)
class _Batch:
    uids: Sequence[int]
    tag: bytes
    missing: dict[int, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.missing = dict.fromkeys(self.uids)


def messages(wire: Wire, wanted: Sequence[int], *, sizes: Mapping[int, int] | None, at_once: int) -> Iterator[Fetched]:
    """Yield each message once: its octets; or None and why, where the server would not give it when asked alone.

    In the order the server answers, that is as asked; what needed a second try comes last. Raises ConnectionLost after
    all that came whole has been handed out, so the first UID not seen is the one the connection died on.
    """
    again: list[int] = []
    yield from _pipelined(wire, _batches(wanted, sizes or {}), at_once, again)
    if again:
        yield from _second_try(wire, again)


def _batches(wanted: Sequence[int], sizes: Mapping[int, int]) -> Iterator[Sequence[int]]:
    """Cut by octets where sizes are known, by number and length of the command in any case."""
    for window in split(wanted, count=BATCH_MESSAGES):
        start = total = 0
        for position, uid in enumerate(window):
            size = sizes.get(uid, 0)
            if position > start and total + size > BATCH_OCTETS:
                yield window[start:position]
                start, total = position, 0
            total += size
        yield window[start:]


def _pipelined(wire: Wire, batches: Iterator[Sequence[int]], at_once: int, again: list[int]) -> Iterator[Fetched]:
    """Keep `at_once` commands under way; put the UIDs that got no body into `again`."""
    under_way: deque[_Batch] = deque()
    wire.hold()
    try:
        while True:
            while len(under_way) < at_once and (uids := next(batches, None)):
                under_way.append(_begin(wire, uids))
            if not under_way:
                return
            status = yield from _read(wire, under_way)
            batch = under_way.popleft()
            again.extend(batch.missing)
            if not status.ok:
                error = refusal(status, _WHAT)
                if isinstance(error, Throttled) and status.code_name != "UNAVAILABLE":
                    raise error
    finally:
        wire.release(batch.tag for batch in under_way)


def _begin(wire: Wire, uids: Sequence[int]) -> _Batch:
    tag = wire.start(b"UID FETCH " + write_set(uids) + b" (UID BODY.PEEK[])", what=_WHAT, streaming=True)
    return _Batch(uids, tag)


def _read(wire: Wire, under_way: deque[_Batch]) -> Generator[Fetched, None, Status]:
    """Yield the messages that come until the first command under way has ended; return how it ended."""
    stream = wire.stream(under_way[0].tag, what=_WHAT)
    while True:
        try:
            response = next(stream)
        except StopIteration as end:
            status: Status = end.value
            return status
        fetched = _body(response)
        del response
        if fetched and any(batch.missing.pop(fetched.uid, False) is None for batch in under_way):
            yield fetched
        fetched = None


def _body(response: Response) -> Fetched | None:
    """Take the message out of a FETCH response; None where it holds none (flags that somebody changed, a NIL)."""
    if match := _BODY_ALONE.fullmatch(response.text):
        return Fetched(int(match[1]), response.literals[0])  # as asked for; a tenth of the time that tokens take
    attributes = fetch_attributes(response) or {}
    octets, uid = attributes.get(b"BODY[]"), uid_of(attributes)
    if not uid or not isinstance(octets, bytes):
        return None
    is_string = any(octets is literal for literal in response.literals) or _QUOTED_BODY.search(response.text)
    return Fetched(uid, octets) if is_string else None


def _second_try(wire: Wire, uids: Sequence[int]) -> Iterator[Fetched]:
    """Ask again for messages that did not come, halving until each culprit stands alone."""
    here = present(wire, uids)
    failed_in_a_row = 0
    for uid in uids:
        if uid not in here:
            yield Fetched(uid, None, GONE)
    for fetched in _halved(wire, [uid for uid in uids if uid in here]):
        failed_in_a_row = 0 if fetched.octets is not None else failed_in_a_row + 1
        if failed_in_a_row == _FAILED_IN_A_ROW and "[UNAVAILABLE]" in fetched.reason:
            raise Throttled("the server gives no messages now", hint="the server is busy or limits us; try again later")
        yield fetched


def _halved(wire: Wire, uids: Sequence[int]) -> Iterator[Fetched]:
    if not uids:
        return
    missing: list[int] = []
    status = yield from _alone(wire, uids, missing)
    if len(uids) == 1 and missing:
        yield Fetched(uids[0], None, _reason(status))
    elif missing:
        half = (len(missing) + 1) // 2
        yield from _halved(wire, missing[:half])
        yield from _halved(wire, missing[half:])


def _alone(wire: Wire, uids: Sequence[int], missing: list[int]) -> Generator[Fetched, None, Status]:
    """Run one FETCH with nothing else under way; return how it ended."""
    wire.hold()
    batch = _begin(wire, uids)
    under_way = deque((batch,))
    try:
        status = yield from _read(wire, under_way)
        under_way.clear()
    finally:
        wire.release(b.tag for b in under_way)
    missing.extend(batch.missing)
    return status


def _reason(status: Status) -> str:
    if status.ok:
        return "the server gives no content for this message"
    code = f"[{status.code_name}] " if status.code_name else ""
    return f"the server says: {code}{status.text or status.kind}"
