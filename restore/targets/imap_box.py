"""What is asked of one session of an IMAP target: which flags a mailbox keeps, what it holds, what it gives back."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from imap.model import Appended, ListedMailbox, Opened
from imap.session import Session
from restore.fingerprint import body_fingerprint, fingerprint, identity
from restore.model import Levels, Placed, ReadBack, Replay
from restore.namespaces import LABELS
from vault.gate import Gate
from vault.model import Flags

_AT_ONCE_OCTETS, _AT_ONCE_MESSAGES = 4 << 20, 1000
_SYSTEM = frozenset({"\\seen", "\\answered", "\\flagged", "\\deleted", "\\draft"})


def levels_of(mailbox: ListedMailbox, prefix: str) -> Levels:
    """Return a listed mailbox's place without separator and prefix; one that is not the user's own below its label."""
    prefix = mailbox.namespace_prefix if mailbox.namespace else prefix
    name = mailbox.name
    if prefix and name.startswith(prefix) and name.upper() != "INBOX":
        name = name[len(prefix) :]
    levels = tuple(name.split(mailbox.delimiter)) if mailbox.delimiter else (name,)
    return (LABELS[mailbox.namespace], *levels) if mailbox.namespace else levels


class Box:
    """One mailbox being filled: its name on the server, what flags it keeps, and what it holds, counted.

    Many may append at a time; whoever lost an answer counts alone.
    """

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.gate = Gate()
        self.lock = threading.Lock()
        self.permanent: frozenset[str] = _SYSTEM | {"\\*"}
        """The flags that it keeps for good, in lower case."""
        self.held: Counter[bytes] = Counter()
        self.first_new = 1
        """Messages below this UID were there before us."""
        self.next_new = 1
        """Messages below this UID were there when flags were last looked at."""
        self.completed: set[int] = set()
        self.no_room_for: int | None = None
        """The size of the smallest message for which the server had no room."""


def complete_flags(session: Session, box: Box, stored: Sequence[tuple[Appended, Replay]], first: int) -> None:
    """Give flags by STORE where the server forgets them in APPEND: as its profile says, or as we see for ourselves.

    We look where the server told no UID (no UIDPLUS, or a lost answer), from the UID `first` on: GNU's imap4d forgets
    all flags over Maildir.
    """
    forgets = set(session.profile.flags_after_append)
    done = [(result.uid, replay) for result, replay in stored if result.error is None]
    known = [(uid, sorted(forgets & set(replay.flags))) for uid, replay in done if uid]
    unknown = [replay for uid, replay in done if not uid and kept_flags(replay.flags, box)]
    if not unknown and not any(flags for _, flags in known):
        return
    session.select(box.raw)
    with box.lock:
        found = _lacking(session, box, unknown, first) if unknown else []
        by_flags: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for uid, flags in (*known, *found):
            by_flags[tuple(flags)].append(uid)
        for lacking, uids in by_flags.items():
            if lacking:
                session.store_flags(uids, lacking, add=True)
        box.completed.update(uid for uid, _ in found)


def _lacking(session: Session, box: Box, replays: Sequence[Replay], first: int) -> list[tuple[int, list[str]]]:
    """Find the messages among those from a UID on, and say which flags each lacks."""
    expected: defaultdict[bytes, list[Flags]] = defaultdict(list)
    for replay in replays:
        expected[identity(replay.octets)].append(kept_flags(replay.flags, box))
    have = {uid: flags for uid, flags in session.flags(first) if uid >= first}
    box.next_new = max([box.next_new, *(uid + 1 for uid in have)])
    found = []
    for uid, key in _keyed(session, [uid for uid in have if uid not in box.completed]):
        if expected[key]:
            found.append((uid, sorted(set(expected[key].pop()) - set(have[uid]))))
    return found


def kept_flags(flags: Flags, box: Box) -> Flags:
    """Return the flags that the mailbox can keep (PERMANENTFLAGS, RFC 9051 §7.1)."""
    permanent = box.permanent
    return tuple(
        flag
        for flag in flags
        if flag.lower() in permanent
        or ("\\*" in permanent and not flag.startswith("\\") and flag.lower() != "\\recent")
    )


def placed_as(done: Appended, flags: Flags, box: Box, lost: str) -> Placed:
    """Say what became of a message; `lost` says why flags could not be completed, where that is so."""
    if done.error is not None:
        return Placed(done.error, over_quota=done.code == "OVERQUOTA")
    kept = kept_flags(flags, box)
    dropped = [flag for flag in flags if flag not in kept]
    altered = [f"the server keeps no {' '.join(dropped)}"] if dropped else []
    altered += [f"the server would not take its {what}" for what in done.altered]
    altered += [f"its flags could not be completed: {lost}"] if lost and flags else []
    return Placed(altered=tuple(altered))


def too_large(size: int, limit: int | None, box: Box) -> Placed | None:
    """Say why a message need not be sent: it is over the server's limit, or a smaller one had no room."""
    if limit is not None and size > limit:
        return Placed(f"larger than the server's limit of {limit} octets")
    if box.no_room_for is not None and size >= box.no_room_for:
        return Placed("not sent: the server had no room for a smaller message", over_quota=True)
    return None


def _uids(session: Session, opened: Opened) -> list[int]:
    ranges = session.uids() if opened.exists else ()
    return [uid for first, last in ranges for uid in range(first, last + 1)]


def fingerprints(session: Session, opened: Opened) -> Counter[bytes]:
    """Count the open mailbox's messages."""
    return Counter(key for _, key in _keyed(session, _uids(session, opened)))


def _keyed(session: Session, uids: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Yield what each message is recognised by; those without Message-ID are read whole, and come last."""
    without: list[int] = []
    for header in session.headers(uids):
        key = fingerprint(header.octets)
        if key is None:
            without.append(header.uid)
        else:
            yield header.uid, key
    for fetched in session.messages(without):
        if fetched.octets is not None:
            yield fetched.uid, body_fingerprint(fetched.octets)


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
        ReadBack(one.octets, facts[one.uid].flags, facts[one.uid].internaldate)
        for one in found
        if one.octets is not None
    ]
