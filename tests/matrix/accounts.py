"""An account of any server, filled with all that is hard to carry elsewhere and read back in terms of no server."""

from __future__ import annotations

import re
import time
from collections import Counter
from datetime import datetime
from typing import NamedTuple

from tests.corpus import DOTTED_NAMES, EMPTY, MAILBOX_NAMES, MESSAGES, TWINS, plain_mail
from tests.servers import Imap4dServer, ImapServer, RawImap
from tests.servers.wire import encode_name

FLAGGED, DATED = "With flags", "With dates"
FLAGS = (
    (),
    ("\\Seen",),
    ("\\Answered", "\\Deleted", "\\Draft", "\\Flagged"),
    ("\\Seen", "$Forwarded", "$Junk", "Projekt"),
)
DATES = (
    "01-Jan-1970 00:00:00 +0000",
    "29-Feb-2000 23:59:59 +0000",
    "10-Mar-2019 04:05:06 -0730",
    "01-Jan-2040 00:00:01 +0000",
)
NOW = "when it was stored"
"""The date of a message whose own the server did not keep."""


class Mail(NamedTuple):
    """One message as a server gives it back, whoever the server is. The date is in seconds, or NOW."""

    octets: bytes
    flags: frozenset[str]
    date: int | str


Mailboxes = dict[str, Counter[Mail]]


def fill(server: ImapServer, user: str) -> None:
    """Fill an account; what the server refuses stays out."""
    with server.open(user) as imap:
        prefix, separator = _namespace(imap)

        def place(name: str) -> str:
            return prefix + name.replace("/", separator)

        imap.command("SELECT INBOX")  # imap4d makes it only now
        for octets in (*MESSAGES.values(), *TWINS, *(() if isinstance(server, Imap4dServer) else (EMPTY,))):
            imap.append("INBOX", octets)
        for number, name in enumerate((FLAGGED, DATED, *_names(separator))):
            if imap.command(b"CREATE", encode_name(place(name))).ok and number % 2:
                imap.do(b"SUBSCRIBE", encode_name(place(name)))
            imap.append(place(name), plain_mail(500 + number))
        for number, flags in enumerate(FLAGS):
            if not imap.append(place(FLAGGED), plain_mail(200 + number), flags).ok:
                known = tuple(flag for flag in flags if flag.startswith("\\"))
                imap.append(place(FLAGGED), plain_mail(200 + number), known)
        for number, date in enumerate(DATES):
            imap.append(place(DATED), plain_mail(300 + number), ("\\Seen",), date)


def read(server: ImapServer, user: str) -> Mailboxes:
    """Return what an account holds, names without the server's prefix and with `/` between levels."""
    with server.open(user) as imap:
        prefix, separator = _namespace(imap)
        return {
            _plain(name, prefix, separator): Counter(
                Mail(seen.octets, frozenset(seen.flags), _date(seen.internaldate)) for seen in messages
            )
            for name, messages in imap.account().items()
        }


def subscribed(server: ImapServer, user: str) -> set[str]:
    """Return the names subscribed to."""
    with server.open(user) as imap:
        prefix, separator = _namespace(imap)
        return {_plain(name, prefix, separator) for name in imap.names("LSUB")}


def _names(separator: str) -> tuple[str, ...]:
    return tuple(name for name in (*MAILBOX_NAMES, *DOTTED_NAMES) if separator == "/" or separator not in name)


def _namespace(imap: RawImap) -> tuple[str, str]:
    line = imap.do("NAMESPACE")[0][0].decode()
    found = re.match(r'\* NAMESPACE \(\("([^"]*)" "(.)"', line)
    assert found, line
    return found[1], found[2]


def _plain(name: str, prefix: str, separator: str) -> str:
    return name.removeprefix(prefix).replace(separator, "/") if name != "INBOX" else name


def _date(internaldate: str) -> int | str:
    return or_now(datetime.strptime(internaldate.strip(), "%d-%b-%Y %H:%M:%S %z"))


def or_now(when: datetime) -> int | str:
    """Return a date in seconds; NOW for one of these days."""
    return NOW if abs(when.timestamp() - time.time()) < 86_400 else int(when.timestamp())
