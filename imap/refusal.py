"""What a server's NO, BAD or BYE means: a refusal, or a wish that we come back later."""

from __future__ import annotations

import re

from imap.errors import ConnectionLost, ImapError, Refused, Throttled
from imap.tokens import Status

_WAIT_CODES = {"LIMIT", "THROTTLED", "INUSE", "UNAVAILABLE"}
_WAIT_WORDS = re.compile(
    r"throttl|back-?off|rate limit|exceeded command or bandwidth|authenticated but not connected|try again later"
    r"|too many (simultaneous|concurrent|connections|login|sessions|commands)|maximum number of connections",
    re.IGNORECASE,
)
_BACKOFF = re.compile(r"back-?off time:? *(\d+) *(ms|milliseconds|s|seconds)?", re.IGNORECASE)


def wants_us_to_wait(status: Status) -> bool:
    """Whether a NO, BAD or BYE is about load or quotas of traffic, not about what was asked."""
    return status.code_name in _WAIT_CODES or bool(_WAIT_WORDS.search(status.text))


def named_wait(text: str) -> float | None:
    """Return the seconds a server asks us to wait (`Suggested Backoff Time: 299961 ms`), None where it names none."""
    match = _BACKOFF.search(text)
    if match is None:
        return None
    milliseconds = (match[2] or "ms").lower().startswith("m")
    return int(match[1]) / 1000 if milliseconds else float(match[1])


def refusal(status: Status, what: str) -> ImapError:
    """Return the error for a command that was refused: Throttled where the server wants us to wait, else Refused."""
    words = f"{what}: the server says: {status.text or status.kind}"
    if wants_us_to_wait(status):
        return Throttled(words, wait=named_wait(status.text), hint="the server is busy or limits us; try again later")
    return Refused(words, code=status.code_name)


def farewell(status: Status, what: str) -> ImapError:
    """Return the error for an unasked BYE."""
    if wants_us_to_wait(status):
        return refusal(status, what)
    return ConnectionLost(f"{what}: the server hung up: {status.text or 'BYE'}")
