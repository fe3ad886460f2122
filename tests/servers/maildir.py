"""Mail put straight into a Dovecot's Maildir: fast, and octet for octet."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tests.servers.dovecot import DovecotServer
from tests.servers.wire import encode_name

LETTERS = {"\\Draft": "D", "\\Flagged": "F", "\\Answered": "R", "\\Seen": "S", "\\Deleted": "T"}
MOMENT = datetime(2019, 3, 10, 4, 5, 6, tzinfo=UTC)

_numbers = itertools.count(1)


class Mail(NamedTuple):
    """One mail as it lies in a mailbox; recent until a client selects it."""

    octets: bytes
    flags: tuple[str, ...] = ()
    internaldate: datetime = MOMENT


def deliver(server: DovecotServer, user: str, mailbox: str, mails: Iterable[Mail | bytes]) -> list[Path]:
    """Add mails to a mailbox, made if need be, in order of the UIDs they will get; returns their files.

    `mailbox` has `/` between levels. The server must keep mail in `maildir:~/Maildir` and notices by itself.
    """
    place = maildir(server, user, mailbox)
    _make(server, place)
    keywords = _Keywords(place / "dovecot-keywords")
    files = [_write(place, Mail(mail) if isinstance(mail, bytes) else mail, keywords) for mail in mails]
    keywords.save()
    for path in (*files, *([keywords.file] if keywords.letters else [])):
        server.own_one(path)
    return files


def maildir(server: DovecotServer, user: str, mailbox: str) -> Path:
    """Return the directory that holds a mailbox (Maildir++: `.A.B` beside the INBOX)."""
    root = server.home(user) / "Maildir"
    return root if mailbox == "INBOX" else root / ("." + encode_name(mailbox).decode().replace("/", "."))


def _make(server: DovecotServer, place: Path) -> None:
    root = place if place.name == "Maildir" else place.parent
    for path in (root, place, place / "cur", place / "new", place / "tmp"):
        if not path.exists():
            path.mkdir()
            server.own_one(path)
    marker = place / "maildirfolder"
    if place != root and not marker.exists():
        marker.touch()
        server.own_one(marker)


def _write(place: Path, mail: Mail, keywords: _Keywords) -> Path:
    letters = "".join(sorted(LETTERS.get(flag) or keywords.letter(flag) for flag in mail.flags))
    # Dovecot gives UIDs in order of the number before the first dot.
    file = place / "cur" / f"{1_000_000_000 + next(_numbers)}.test:2,{letters}"
    file.write_bytes(mail.octets)
    seconds = mail.internaldate.timestamp()
    os.utime(file, (seconds, seconds))
    return file


class _Keywords:
    """The file that says which keyword a letter stands for."""

    def __init__(self, file: Path) -> None:
        self.file = file
        lines = file.read_text().splitlines() if file.exists() else []
        self.letters = {line.split(" ", 1)[1]: chr(ord("a") + int(line.split(" ", 1)[0])) for line in lines}

    def letter(self, keyword: str) -> str:
        return self.letters.setdefault(keyword, chr(ord("a") + len(self.letters)))

    def save(self) -> None:
        if self.letters:
            lines = [f"{ord(letter) - ord('a')} {keyword}\n" for keyword, letter in self.letters.items()]
            self.file.write_text("".join(lines))
