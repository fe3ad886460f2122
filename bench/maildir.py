"""Deliveries written straight into the Maildirs of a Dovecot, as if they had come by the years."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bench.generate import Delivery
from imap.names import encode_name

_LETTERS = {"\\Draft": "D", "\\Flagged": "F", "\\Answered": "R", "\\Seen": "S", "\\Deleted": "T"}


def folder_name(mailbox: str) -> str:
    """Say where Maildir++ keeps a mailbox: `.Projects.Br&APw-cke`; the INBOX is the Maildir itself."""
    if mailbox == "INBOX":
        return "."
    return "." + encode_name(mailbox).decode().replace("/", ".")


def mailboxes(maildir: Path) -> dict[str, list[Path]]:
    """List a Maildir++'s mailboxes that hold mail, with their files; names as IMAP sends them."""
    found = {}
    for folder in (maildir, *sorted(maildir.glob(".*/"))):
        files = sorted(path for part in ("cur", "new") for path in (folder / part).glob("*"))
        if files:
            found["INBOX" if folder == maildir else folder.name[1:].replace(".", "/")] = files
    return found


@dataclass
class Folder:
    """One mailbox's directory, with the keywords it has letters for."""

    path: Path
    count: int = 0
    keywords: list[str] = field(default_factory=list)

    def add(self, mail: Delivery) -> None:
        """Write one mail, line ends as Dovecot's deliveries have them, its arrival time on the file."""
        text = mail.octets.replace(b"\r\n", b"\n")
        letters = "".join(sorted(self._letter(flag) for flag in mail.flags))
        self.count += 1
        name = f"{mail.when}.M{self.count:06}P1.bench,S={len(text)},W={len(mail.octets)}:2,{letters}"
        path = self.path / "cur" / name
        path.write_bytes(text)
        os.utime(path, (mail.when, mail.when))

    def _letter(self, flag: str) -> str:
        if flag in _LETTERS:
            return _LETTERS[flag]
        if flag not in self.keywords:
            self.keywords.append(flag)
        return chr(ord("a") + self.keywords.index(flag))

    def close(self) -> None:
        """Name the keywords' letters."""
        lines = (f"{number} {keyword}\n" for number, keyword in enumerate(self.keywords))
        (self.path / "dovecot-keywords").write_text("".join(lines))


def fill(maildir_of: dict[str, Path], mails: Iterable[Delivery]) -> tuple[int, int]:
    """Write all mails into their users' Maildirs. Return how many mails and octets, line ends counted as CRLF."""
    folders: dict[tuple[str, str], Folder] = {}
    count = octets = 0
    for mail in mails:
        folder = folders.get((mail.user, mail.mailbox))
        if folder is None:
            folder = folders[mail.user, mail.mailbox] = _make(maildir_of[mail.user], mail.mailbox)
        folder.add(mail)
        count, octets = count + 1, octets + len(mail.octets)
    for folder in folders.values():
        folder.close()
    return count, octets


def _make(maildir: Path, mailbox: str) -> Folder:
    path = maildir / folder_name(mailbox)
    for part in ("cur", "new", "tmp"):
        (path / part).mkdir(parents=True, exist_ok=True)
    if mailbox != "INBOX":
        (path / "maildirfolder").touch()
    return Folder(path)
