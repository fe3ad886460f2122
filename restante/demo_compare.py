"""What an account holds, message by message, and how two of them differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from imap.session import Session
from restante.demo_mail import MAILBOXES, SUBSCRIBED, DemoMail
from restante.demo_server import ROLES


class Message(NamedTuple):
    """All that must come back of one message; the date is the server's text, zone and all."""

    octets: bytes
    flags: tuple[str, ...]
    internaldate: str


@dataclass(frozen=True)
class Contents:
    """One mailbox: its role, whether it is subscribed, its messages, equal ones counted."""

    role: str | None
    subscribed: bool
    messages: Counter[Message]


def made(mails: Iterable[DemoMail]) -> dict[str, Contents]:
    """Say what a server must hold once the demo's mails are on it."""
    held = {name: Contents(_role(name), name in SUBSCRIBED, Counter()) for name in ("INBOX", *MAILBOXES)}
    for mail in mails:
        held[mail.mailbox].messages[Message(mail.octets, tuple(sorted(mail.flags)), mail.internaldate)] += 1
    return held


def _role(name: str) -> str | None:
    return f"\\{ROLES[name].decode()}" if name in ROLES else None


def read_account(session: Session) -> dict[str, Contents]:
    """Read all that an account holds, leaving no trace."""
    held: dict[str, Contents] = {}
    for mailbox in session.look():
        if mailbox.status is None:
            continue
        session.examine(mailbox.raw)
        uids = [uid for first, last in session.uids() for uid in range(first, last + 1)]
        octets = {fetched.uid: fetched.octets or b"" for fetched in session.messages(uids)}
        messages = Counter(
            Message(octets[facts.uid], tuple(sorted(set(facts.flags) - {"\\Recent"})), facts.internaldate)
            for facts in session.facts(uids)
        )
        held[mailbox.name] = Contents(mailbox.special_use, mailbox.subscribed or mailbox.name == "INBOX", messages)
    return held


def differences(before: Mapping[str, Contents], after: Mapping[str, Contents]) -> Iterator[str]:
    """Yield a line for each thing that is not as it was."""
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was is None or now is None:
            yield f"{name}: the mailbox {'came from nowhere' if was is None else 'is missing'}"
            continue
        if was.role != now.role:
            yield f"{name}: its role was {was.role or 'none'} and is {now.role or 'none'}"
        if was.subscribed != now.subscribed and name != "INBOX":
            yield f"{name}: it was {'' if was.subscribed else 'not '}subscribed before"
        for message, count in (was.messages - now.messages).items():
            yield f"{name}: {count} × {len(message.octets)} octets of {message.internaldate} not as before"
        for message, count in (now.messages - was.messages).items():
            yield f"{name}: {count} × {len(message.octets)} octets of {message.internaldate} not there before"
