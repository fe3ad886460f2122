"""What each server keeps, alters and refuses of what is restored to it: declared here, measured by `test_matrix`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Literal, NamedTuple

from tests.matrix.accounts import NOW, Mail, Mailboxes, or_now

Kind = Literal["altered", "refused"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing a server does to some messages: `makes` says what becomes of a message, None where it is refused.

    `words` is what the server says when it refuses. `again`: a second restore can't recognise what became of such a
    message, and brings it once more. `sources` are the servers that held such messages when this was measured.
    """

    what: str
    makes: Callable[[Mail], Mail | None]
    sources: frozenset[str]
    words: str = ""
    again: bool = False

    @property
    def kind(self) -> Kind:
        """Whether the message comes, in some other form, or stays out."""
        return "refused" if self.words else "altered"


@dataclass(frozen=True, slots=True)
class Expectation:
    """All that is known of one server as a target. A message meets the rules from first to last.

    `names` says what becomes of mailboxes whose plain name the server refuses. `levels_are_mailboxes`: a level that
    holds only others becomes a mailbox; the reverse, `no_parents`: an empty mailbox that holds others stays a level.
    """

    title: str
    rules: tuple[Rule, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    levels_are_mailboxes: bool = False
    no_parents: str = ""


def _is_changed(mail: Mail, change: Callable[[bytes], bytes]) -> Mail:
    return mail._replace(octets=change(mail.octets))


def altered(what: str, change: Callable[[bytes], bytes], sources: str, *, again: bool = False) -> Rule:
    """A rule about octets."""
    return Rule(what, partial(_is_changed, change=change), frozenset(sources.split()), again=again)


def refused(what: str, applies: Callable[[bytes], bool], sources: str, words: str) -> Rule:
    """A rule about octets that the server does not take."""
    return Rule(what, lambda mail: None if applies(mail.octets) else mail, frozenset(sources.split()), words)


def date_lost(what: str, year: int, sources: str) -> Rule:
    """A rule about dates of one year."""

    def makes(mail: Mail) -> Mail:
        lost = mail.date != NOW and datetime.fromtimestamp(int(mail.date), UTC).year == year
        return mail._replace(date=NOW) if lost else mail

    return Rule(what, makes, frozenset(sources.split()))


def _header_date(mail: Mail) -> Mail:
    head = re.sub(rb"\r\n(?=[ \t])", b"", _head(mail.octets))
    found = re.search(rb"(?m)^Received: .*;(.*)", head) or re.search(rb"(?m)^Date: (.*)", head)
    return mail._replace(date=or_now(parsedate_to_datetime(found[1].decode())) if found else NOW)


def _only_system_flags(mail: Mail) -> Mail:
    return mail._replace(flags=frozenset(flag for flag in mail.flags if flag.startswith("\\")))


def _head(octets: bytes) -> bytes:
    return octets.partition(b"\r\n\r\n")[0]


def _has_bad_header(octets: bytes) -> bool:
    lines = _head(octets).split(b"\r\n") if not octets.startswith(b"\r\n") else []
    return any(line.strip() and not re.match(rb"[!-9;-~]+[ \t]*:|[ \t]|From ", line) for line in lines)


def _without_8_bit_header(octets: bytes) -> bytes:
    head = _head(octets)
    return re.sub(rb"[\x80-\xff]", b"X", head) + octets[len(head) :]


def _mbox_lines_gone(mail: Mail) -> Mail:
    octets = re.sub(rb"\AFrom [^\r]*\r\n", b"", mail.octets)
    head = _head(octets)
    seen = {"\\Seen"} if re.search(rb"(?m)^Status: R", head) else set()
    kept = re.sub(rb"(?m)^(?:Status|X-UID): .*\r\n", b"", head + b"\r\n")[:-2] + octets[len(head) :]
    return mail._replace(octets=kept, flags=mail.flags | seen)


def _blank_line_after_header(octets: bytes) -> bytes:
    return octets if b"\r\n\r\n" in octets or octets.startswith(b"\r\n") else octets + b"\r\n"


def _only_its_blank_line(octets: bytes) -> bytes:
    return b"\r\n" if octets.startswith(b"\r\n") or not octets.strip() else octets


EXPECTED: Mapping[str, Expectation] = {
    "dovecot": Expectation(
        "Dovecot 2.3 (Maildir)",
        (
            altered("CR CR LF becomes CR LF", lambda octets: octets.replace(b"\r\r\n", b"\r\n"), "cyrus imap4d"),
            altered("NUL becomes 0x80", lambda octets: octets.replace(b"\0", b"\x80"), "courier"),
            date_lost("a date of 2040 becomes the time of the restore", 2040, "cyrus courier"),
        ),
        {
            "v1.2 plan": "v1=2E2 plan",
            "example.test": "example=2Etest",
            "Clients/ACME Inc.": "Clients/ACME Inc=2E",
        },
    ),
    "cyrus": Expectation(
        "Cyrus IMAP 3.6",
        (
            refused("NUL", lambda octets: b"\0" in octets, "courier", "Message contains NUL characters"),
            refused(
                "a header line without a colon", _has_bad_header, "dovecot courier", "Message contains invalid header"
            ),
            refused("nothing but a blank", lambda octets: octets == b" ", "dovecot", "Message contains invalid header"),
            altered("8-bit octets in a header become X", _without_8_bit_header, "dovecot courier imap4d"),
            date_lost("a date of 1970 becomes the time of the restore", 1970, "dovecot"),
        ),
        {
            "100% *": "100=25 =2A",
            'Say "cheese"': "Say =22cheese=22",
            "back\\slash": "back=5Cslash",
            "(brackets) {5} [x]": "(brackets) =7B5=7D =5Bx=5D",
        },
        levels_are_mailboxes=True,
    ),
    "courier": Expectation(
        "Courier IMAP 5.0",
        (
            altered(
                "a CR without LF is dropped",
                lambda octets: re.sub(rb"\r(?!\n)", b"", octets),
                "dovecot cyrus imap4d",
            ),
            altered(
                "a last line without its end gets one",
                lambda octets: octets if octets.endswith(b"\n") else octets + b"\r\n",
                "dovecot cyrus imap4d",
            ),
            date_lost("a date of 1970 becomes the time of the restore", 1970, "dovecot"),
        ),
        {
            "🎉": "=F0=9F=8E=89",
            "v1.2 plan": "v1%2E2 plan",
            "example.test": "example%2Etest",
            "Clients/ACME Inc.": "Clients/ACME Inc%2E",
        },
    ),
    "imap4d": Expectation(
        "GNU imap4d 3.15 (Maildir)",
        (
            refused(
                "a header line without a colon",
                _has_bad_header,
                "dovecot courier",
                "failed",
            ),
            altered(
                "a message without header loses its body", _only_its_blank_line, "dovecot cyrus courier", again=True
            ),
            altered("what follows a NUL is lost", lambda octets: octets.partition(b"\0")[0], "courier"),
            Rule(
                "mbox lines (From, Status, X-UID) are dropped, and a Status of R is taken for seen",
                _mbox_lines_gone,
                frozenset("dovecot cyrus courier".split()),
            ),
            altered("a header alone gets a blank line", _blank_line_after_header, "dovecot cyrus courier"),
            Rule(
                "the date is taken from the first Received line, else from the Date line",
                _header_date,
                frozenset("dovecot cyrus courier".split()),
            ),
            Rule("keywords are lost", _only_system_flags, frozenset("dovecot cyrus courier".split())),
        ),
        no_parents="CREATE already exists",
    ),
}
"""By the name of the fixture. What a server changes of mail that none of the others can hold does not stand here."""


class Expected(NamedTuple):
    """What a target should hold, which rules were met, what it refuses, what a second restore brings once more."""

    held: Mailboxes
    met: set[str]
    refused: Counter[str]
    again: Counter[str]


def expect(source: Mailboxes, target: Expectation) -> Expected:
    """Foretell what a target makes of an account."""
    found = Expected({"INBOX": Counter()}, set(), Counter(), Counter())
    for name, mails in source.items():
        if target.no_parents and not mails and any(other.startswith(f"{name}/") for other in source):
            found.refused[target.no_parents] += 1
            continue
        box = found.held.setdefault(target.names.get(name, name), Counter())
        for mail in mails.elements():
            kept = _through(mail, target, found)
            if kept is not None:
                box[kept] += 1
    if target.levels_are_mailboxes:
        for name in list(found.held):
            for parent in _parents(name):
                found.held.setdefault(parent, Counter())
    return found


def _through(mail: Mail, target: Expectation, found: Expected) -> Mail | None:
    for rule in target.rules:
        made = rule.makes(mail)
        if made == mail:
            continue
        found.met.add(rule.what)
        if made is None:
            found.refused[rule.words] += 1
            return None
        found.again[rule.what] += rule.again and made.octets != mail.octets
        mail = made
    return mail


def _parents(name: str) -> list[str]:
    levels = name.split("/")
    return ["/".join(levels[:depth]) for depth in range(1, len(levels))]
