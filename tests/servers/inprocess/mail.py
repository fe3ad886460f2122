"""What an in-process server holds: accounts, mailboxes, messages; and what a provider makes of them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

SYSTEM = ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")
TODAY = "23-Nov-2026 12:00:00 +0000"


class Refusal(Exception):
    """What a server says instead of doing as it was told: `NO …` or `BAD …`; `last` where it hangs up after that."""

    def __init__(self, words: str, *, last: bool = False) -> None:
        super().__init__(words)
        self.words = words
        self.last = last


@dataclass(frozen=True)
class Provider:
    r"""How a server differs from a plain IMAP4rev1 one. Each field's source stands where a provider sets it.

    `permanent` are the flags it keeps, `\*` for any keyword, `forgets` those that it loses when APPEND brings them.
    `told_size` is what it says of a message's size, `names` what it says of a mailbox name that it refuses, `takes` of
    a message. `labels`: mailboxes are views of one store, a message that comes again is the same message, and all are
    in the mailbox of that name. `shows` is how many messages of a mailbox a client sees at most, unless it has enabled
    UIDONLY, `reluctant` what it says instead of giving a message. `quiet` keeps silent about what it enabled, `esearch`
    says whether its extended SEARCH works, `search_end` ends its plain one. `throttle` is what it says of each so many
    commands, `most_errors` after how many it hangs up.
    """

    name: str
    greeting: str
    before_login: str
    capabilities: str
    roles: tuple[tuple[str, str], ...] = ()
    permanent: tuple[str, ...] = (*SYSTEM, "\\*")
    forgets: tuple[str, ...] = ()
    told_size: Callable[[bytes], int] = len
    names: Callable[[str], str] = lambda _: ""
    takes: Callable[[bytes], str] = lambda _: ""
    folds_case: bool = False
    labels: str = ""
    inbox: str = "INBOX"
    shows: int = 0
    reluctant: Callable[[bytes], str] = lambda _: ""
    quiet: bool = False
    esearch: bool = True
    search_end: str = ""
    throttle: str = ""
    throttle_each: int = 0
    most_errors: int = 0
    farewell: str = "BYE see you"

    def has(self, capability: str) -> bool:
        """Whether it offers an extension."""
        return capability in self.capabilities.split()

    @property
    def limit(self) -> int:
        """Of how many messages it tells in one command (RFC 9738); 0 for any."""
        found = re.search(r"\bMESSAGELIMIT=(\d+)", self.capabilities)
        return int(found[1]) if found else 0


@dataclass
class Message:
    """Octets as they came, with what names them for good."""

    id: int
    octets: bytes


@dataclass
class Entry:
    """A message's place in a mailbox."""

    uid: int
    message: Message
    flags: set[str]
    date: str
    modseq: int


@dataclass
class Mailbox:
    """One mailbox; `uidvalidity` is when it was made."""

    name: str
    uidvalidity: int
    role: str = ""
    uidnext: int = 1
    subscribed: bool = False
    entries: list[Entry] = field(default_factory=list)
    gone: list[tuple[int, int]] = field(default_factory=list)
    """When (MODSEQ) which UID was expunged."""


class Account:
    """One user's mail, behind a lock: connections share it."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.lock = threading.RLock()
        self.modseq = 1
        self.commands = 0
        self._numbers = count(1_700_000_000)
        self.mailboxes: dict[str, Mailbox] = {}
        for name, role in ((provider.inbox, ""), *provider.roles):
            self.make(name).role = role

    def find(self, name: str) -> Mailbox | None:
        """Return a mailbox by the name that a client gave it."""
        wanted = self._key(name)
        return next((box for box in self.mailboxes.values() if self._key(box.name) == wanted), None)

    def open(self, name: str) -> Mailbox:
        """Return a mailbox. Raises Refusal."""
        found = self.find(name)
        if found is None:
            raise Refusal(f"NO [TRYCREATE] {name} doesn't exist.")
        return found

    def make(self, name: str) -> Mailbox:
        """Make a mailbox and the levels above it. Raises Refusal."""
        if self.find(name) is not None:
            raise Refusal("NO [ALREADYEXISTS] mailbox already exists")
        if words := self.provider.names(name):
            raise Refusal(words)
        parent = name.rpartition("/")[0]
        if parent and self.find(parent) is None and not parent.startswith("["):
            self.make(parent)
        box = self.mailboxes[name] = Mailbox(name, next(self._numbers))
        return box

    def store(self, box: Mailbox, octets: bytes, flags: set[str], date: str) -> int:
        """Store a message; return its UID. Raises Refusal."""
        if words := self.provider.takes(octets):
            raise Refusal(words)
        kept = {flag for flag in flags if self.keeps(flag) and flag not in self.provider.forgets}
        message = self._known(octets) or Message(next(self._numbers), octets)
        uid = self.put(box, message, kept, date).uid
        if self.provider.labels and box.name != self.provider.labels:
            everything = self.open(self.provider.labels)
            if all(entry.message is not message for entry in everything.entries):
                self.put(everything, message, kept, date)
        return uid

    def put(self, box: Mailbox, message: Message, flags: set[str], date: str) -> Entry:
        """Give a message a place in a mailbox: where labels are mailboxes, it has only one in each."""
        there = next((e for e in box.entries if e.message is message), None) if self.provider.labels else None
        if there is not None:
            return there
        self.modseq += 1
        entry = Entry(box.uidnext, message, set(flags), date, self.modseq)
        box.entries.append(entry)
        box.uidnext += 1
        return entry

    def expunge(self, box: Mailbox, uids: set[int]) -> None:
        """Take messages out of a mailbox."""
        self.modseq += 1
        box.gone += [(self.modseq, uid) for uid in sorted(uids)]
        box.entries = [entry for entry in box.entries if entry.uid not in uids]

    def keeps(self, flag: str) -> bool:
        """Whether the provider keeps such a flag."""
        known = {one.lower() for one in self.provider.permanent}
        return flag.lower() in known or ("\\*" in known and not flag.startswith("\\"))

    def _known(self, octets: bytes) -> Message | None:
        if not self.provider.labels:
            return None
        everything = self.open(self.provider.labels)
        return next((e.message for e in everything.entries if e.message.octets == octets), None)

    def _key(self, name: str) -> str:
        return name.upper() if self.provider.folds_case or name.upper() == "INBOX" else name
