"""What happens in mailboxes between two backups: mail comes, flags change, mail is moved."""

from __future__ import annotations

import imaplib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from bench.generate import Delivery, Office
from bench.places import MailServer
from imap.names import encode_name


def _wire(mailbox: str) -> str:
    return f'"{encode_name(mailbox).decode()}"'


@contextmanager
def _opened(server: MailServer, user: str, mailbox: str | None = None) -> Iterator[imaplib.IMAP4]:
    with imaplib.IMAP4(server.host, server.plain_port) as client:
        client.login(user, server.passwords[user])
        if mailbox is not None:
            _must(client.select(_wire(mailbox)))
        yield client


def _must(answer: tuple[str, Sequence[object]]) -> Sequence[object]:
    if answer[0] != "OK":
        raise RuntimeError(f"the mail server refused a change: {answer!r}")
    return answer[1]


def deliver(server: MailServer, mails: Iterable[Delivery]) -> int:
    """Let mails arrive; return how many."""
    count = 0
    by_user: dict[str, list[Delivery]] = {}
    for mail in mails:
        by_user.setdefault(mail.user, []).append(mail)
    for user, theirs in by_user.items():
        with _opened(server, user) as client:
            for mail in theirs:
                client.create(_wire(mail.mailbox))
                _must(client.append(_wire(mail.mailbox), "", imaplib.Time2Internaldate(mail.when), mail.octets))
                count += 1
    return count


def flag(server: MailServer, user: str, mailbox: str, first: int, last: int) -> None:
    """Flag the mails of that range of positions."""
    with _opened(server, user, mailbox) as client:
        _must(client.store(f"{first}:{last}", "+FLAGS", "(\\Flagged $Label2)"))


def move(server: MailServer, user: str, mailbox: str, last: int, target: str) -> None:
    """Move a mailbox's mails up to that position to another mailbox."""
    with _opened(server, user, mailbox) as client:
        client.create(_wire(target))
        _must(client._simple_command("MOVE", f"1:{last}", _wire(target)))  # noqa: SLF001  (imaplib has no MOVE)


def one_percent(server: MailServer, seed: int, mails: int) -> int:
    """Bring one mail in a hundred anew, flag as many others, move as many others; return the new mail's octets."""
    each = max(1, mails // 100 // len(server.users))
    office = Office(seed, server.users)
    fresh = list(islice(office.deliveries(), each * len(server.users)))
    deliver(server, fresh)
    for user in server.users:
        flag(server, user, "INBOX", each + 1, 2 * each)
        move(server, user, "INBOX", each, "Archive/2024")
    return sum(len(mail.octets) for mail in fresh)
