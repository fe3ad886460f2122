"""What is asked of one session of an IMAP target: which flags a mailbox keeps, what it holds, what it gives back."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence

from imap.model import Appended, Opened
from imap.session import Session
from restore.fingerprint import body_fingerprint, fingerprint
from restore.model import Placed, ReadBack, Replay
from vault.gate import Gate
from vault.model import Flags

_AT_ONCE_OCTETS, _AT_ONCE_MESSAGES = 4 << 20, 1000
_SYSTEM = {"\\seen", "\\answered", "\\flagged", "\\deleted", "\\draft"}


class Box:
    """One mailbox being filled: its name on the server, what flags it keeps, and what it holds, counted.

    Many may append at a time; whoever lost an answer counts alone.
    """

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.gate = Gate()
        self.lock = threading.Lock()
        self.permanent: frozenset[str] | None = None
        self.held: Counter[bytes] = Counter()


def store_again(session: Session, raw: bytes, stored: Sequence[tuple[Appended, Replay]]) -> None:
    """Give flags by STORE where the server forgets them in APPEND."""
    forgets = set(session.profile.flags_after_append)
    flagged = [(done.uid, sorted(forgets & set(replay.flags))) for done, replay in stored if done.uid]
    if not any(flags for _, flags in flagged):
        return
    session.select(raw)
    for uid, flags in flagged:
        if flags:
            session.store_flags([uid], flags, add=True)


def kept_flags(flags: Flags, box: Box) -> Flags:
    """Return the flags that the mailbox can keep (PERMANENTFLAGS, RFC 9051 §7.1)."""
    permanent = {flag.lower() for flag in box.permanent} if box.permanent is not None else _SYSTEM | {"\\*"}
    return tuple(
        flag
        for flag in flags
        if flag.lower() in permanent
        or ("\\*" in permanent and not flag.startswith("\\") and flag.lower() != "\\recent")
    )


def placed_as(done: Appended, flags: Flags, box: Box, lost: Mapping[int, str]) -> Placed:
    """Say what became of a message; `lost` are UIDs whose flags could not be completed, and why."""
    if done.error is not None:
        return Placed(done.error)
    dropped = [flag for flag in flags if flag not in kept_flags(flags, box)]
    altered = [f"the server keeps no {' '.join(dropped)}"] if dropped else []
    altered += [f"the server would not take its {what}" for what in done.altered]
    altered += (
        [f"its flags could not be completed: {lost[done.uid]}"] if done.uid is not None and done.uid in lost else []
    )
    return Placed(altered=tuple(altered))


def _uids(session: Session, opened: Opened) -> list[int]:
    ranges = session.uids() if opened.exists else ()
    return [uid for first, last in ranges for uid in range(first, last + 1)]


def fingerprints(session: Session, opened: Opened) -> Counter[bytes]:
    """Count the open mailbox's messages; those without Message-ID are read whole."""
    found: Counter[bytes] = Counter()
    without: list[int] = []
    for header in session.headers(_uids(session, opened)):
        key = fingerprint(header.octets)
        if key is None:
            without.append(header.uid)
        else:
            found[key] += 1
    for _, octets, _ in session.messages(without):
        if octets is not None:
            found[body_fingerprint(octets)] += 1
    return found


def windows_of(session: Session, raw: bytes) -> list[list[int]]:
    """Cut a mailbox's UIDs into what is read at once: a few MiB, or one message."""
    opened = session.examine(raw)
    windows: list[list[int]] = [[]]
    total = 0
    for fact in session.facts(_uids(session, opened)):
        if windows[-1] and (total + fact.size > _AT_ONCE_OCTETS or len(windows[-1]) >= _AT_ONCE_MESSAGES):
            windows.append([])
            total = 0
        windows[-1].append(fact.uid)
        total += fact.size
    return windows


def read_window(session: Session, raw: bytes, window: Sequence[int]) -> list[ReadBack]:
    """Read some messages of a mailbox, opening it where need be."""
    if session.opened != raw:
        session.examine(raw)
    facts = {fact.uid: fact for fact in session.facts(window)}
    found = session.messages(list(facts))
    return [
        ReadBack(octets, facts[uid].flags, facts[uid].internaldate) for uid, octets, _ in found if octets is not None
    ]
