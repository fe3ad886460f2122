"""Deterministic mail: an office's mailboxes, swarms of small mails, single giants."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from bench.words import Language

DOMAIN = "office.example"
PROJECTS = ("Alpha", "Brücke", "Curie", "Dock 7", "Etage", "Fähre", "Gewerbe & Bau", "Hafen", "Insel", "Jubiläum")
FOLDERS = ("INBOX", "Sent", "Drafts", "Trash", "Archive/2024", "Archive/2025", "Archive/2026", "Lists/News", "Bills")
MAILBOXES = (*FOLDERS, *(f"Projects/{name}" for name in PROJECTS))
FIRST_DAY = 1_704_096_000
HIGH, LOW = 8_000_000, 2_000


class Delivery(NamedTuple):
    """One mail in one mailbox: octets with CRLF, IMAP flags and keywords, arrival as seconds since 1970."""

    user: str
    mailbox: str
    octets: bytes
    flags: tuple[str, ...]
    when: int


@dataclass(frozen=True)
class Attachment:
    """A file as it stands in each mail that carries it, base64 in lines of one width."""

    name: str
    kind: str
    text: bytes


def base64_lines(data: bytes, width: int = 76) -> bytes:
    """Encode as mailers do: base64 in lines of `width`, CRLF after each."""
    octets = width * 3 // 4
    lines = (binascii.b2a_base64(data[at : at + octets], newline=False) for at in range(0, len(data), octets))
    return b"\r\n".join(lines) + b"\r\n"


class Office:
    """People who write to each other, send one file to several, quote, forward and get newsletters."""

    def __init__(self, seed: int, users: Sequence[str]) -> None:
        self.say = Language(seed)
        self.dice = self.say.dice
        self.users = users
        self.now = FIRST_DAY
        self.templates = [self._template() for _ in range(24)]
        self.signatures = {user: f"-- \r\n{user.title()}\r\n{self.say.sentence(9)}\r\n" for user in users}

    def deliveries(self) -> Iterator[Delivery]:
        """Yield deliveries without end, arrival times rising."""
        while True:
            yield from self._newsletter() if self.dice.random() < 0.3 else self._conversation()

    def _template(self) -> tuple[str, list[str], str]:
        rows = [
            f'<td style="font:{self.dice.randint(9, 18)}px Arial;color:#{self.say.token(6)}"><a href="https://news.example/{self.say.token(40)}">'
            for _ in range(self.dice.randint(8, 60))
        ]
        return self.say.sentence(4), rows, self.say.paragraphs(900)

    def _newsletter(self) -> Iterator[Delivery]:
        title, rows, imprint = self.dice.choice(self.templates)
        items = "\r\n".join(f"<tr>{row}{self.say.sentence(8)}</a></td></tr>" for row in rows)
        page = f"<html><head><title>{title}</title></head>\r\n<body><table>{items}</table>\r\n{imprint}</body></html>"
        body = page.encode() + b"\r\n"
        for user in self.dice.sample(self.users, self.dice.choice((1, 1, 1, min(2, len(self.users))))):
            head = self._head("news@lists.example", [user], title, "text/html; charset=utf-8", user)
            yield self._deliver(user, self.dice.choice(("INBOX", "Lists/News", "Trash")), head + body)

    def _conversation(self) -> Iterator[Delivery]:
        people = self.dice.sample(self.users, min(len(self.users), self.dice.choice((1, 1, 2, 2, 2, 3, 3, 4, 6))))
        outside = f"{self.say.words(1)[0]}@partner.example".encode().decode("ascii", "ignore")
        subject, project = self.say.sentence(self.dice.randint(2, 7)), self.dice.choice(PROJECTS)
        files: list[Attachment] = []
        quoted = ""
        for turn in range(self.dice.choice((1, 1, 1, 2, 2, 3, 5, 8))):
            sender = self.dice.choice([*people, outside])
            said = self.say.paragraphs(self.say.log_normal(900, 1.0, low=60, high=20_000))
            said += self.signatures.get(sender, "")
            fresh = [self._file()] if self.dice.random() < (0.2 if turn else 0.55) else []
            forwarded = files[-1:] if self.dice.random() < 0.15 else []
            files += fresh
            text = said + quoted
            yield from self._send(sender, people, ("Re: " if turn else "") + subject, text, fresh + forwarded, project)
            quoted = "".join(f"> {line}\r\n" for line in (said + quoted).splitlines())[:30_000]

    def _send(
        self, sender: str, people: list[str], subject: str, text: str, files: list[Attachment], project: str
    ) -> Iterator[Delivery]:
        boundary = f"=_{self.say.token(24)}"
        kind, body = self._body(text, files, boundary)
        self.now += self.dice.randint(1, 4000)
        for user in people:
            mailbox = "Sent" if user == sender else self.dice.choice(("INBOX", f"Projects/{project}", self._archive()))
            yield self._deliver(user, mailbox, self._head(sender, people, subject, kind, user) + body)

    def _archive(self) -> str:
        return f"Archive/{2024 + self.now % 3}"

    def _head(self, sender: str, people: list[str], subject: str, kind: str, recipient: str) -> bytes:
        address = sender if "@" in sender else f"{sender}@{DOMAIN}"
        hops = "".join(
            f"Received: from mx{self.dice.randint(1, 4)}.{DOMAIN} ([192.0.2.{self.dice.randint(1, 254)}])\r\n"
            f"\tby mail.{DOMAIN} with ESMTPS id {self.say.token(12)}\r\n\tfor <{recipient}@{DOMAIN}>; {self.now}\r\n"
            for _ in range(2)
        )
        to = ", ".join(f"{one.title()} <{one}@{DOMAIN}>" for one in people)
        return (
            f"Return-Path: <{address}>\r\nDelivered-To: {recipient}@{DOMAIN}\r\n{hops}From: {address}\r\nTo: {to}\r\n"
            f"Subject: {subject}\r\nMessage-ID: <{self.say.token(32)}@{DOMAIN}>\r\nX-Mailer: OfficeMail 16.0\r\n"
            f"MIME-Version: 1.0\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        ).encode()

    def _body(self, text: str, files: list[Attachment], boundary: str) -> tuple[str, bytes]:
        plain = text.encode()
        html = b"<html><body><p>" + plain.replace(b"\r\n\r\n", b"</p>\r\n<p>") + b"</p></body></html>\r\n"
        if not files:
            return ("text/html; charset=utf-8", html) if len(text) % 2 else ("text/plain; charset=utf-8", plain)
        edge = f"--{boundary}".encode()
        parts = [edge + b"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + plain]
        for one in files:
            head = f'Content-Type: {one.kind}; name="{one.name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
            parts.append(edge + b"\r\n" + head.encode() + one.text)
        return f'multipart/mixed; boundary="{boundary}"', b"".join(parts) + edge + b"--\r\n"

    def _file(self) -> Attachment:
        size = self.say.log_normal(70_000, 1.15, low=LOW, high=HIGH)
        kind = self.dice.choices(("image/jpeg", "application/zip", "application/pdf", "text/csv"), (4, 3, 4, 2))[0]
        match kind:
            case "text/csv":
                note = self.say.sentence(3)
                rows = (f"{self.now + n};{self.dice.random() * 1000:.2f};{note}\n" for n in range(size // 40))
                data = "".join(rows).encode()
            case "application/pdf":
                data = self.say.paragraphs(size // 4).encode() + self.dice.randbytes(size * 3 // 4)
            case _:
                data = self.dice.randbytes(size)
        name = f"{self.say.token(8)}.{kind.rpartition('/')[2]}"
        return Attachment(name, kind, base64_lines(data, self.dice.choice((76, 76, 76, 76, 64, 72))))

    def _deliver(self, user: str, mailbox: str, octets: bytes) -> Delivery:
        flags = self.dice.choices(
            (("\\Seen",), (), ("\\Answered", "\\Seen"), ("\\Flagged", "\\Seen"), ("\\Seen", "$Label1", "invoice")),
            (60, 15, 15, 5, 5),
        )[0]
        return Delivery(user, mailbox, octets, flags, self.now)


def office(seed: int, users: Sequence[str], mails: int) -> Iterator[Delivery]:
    """Yield an office's first `mails` deliveries; the same for the same arguments."""
    return islice(Office(seed, users).deliveries(), mails)


def swarm(seed: int, user: str, mailbox: str, mails: int) -> Iterator[Delivery]:
    """Yield many small mails of about 1 KB in one mailbox, as a mailing list or a monitor leaves them."""
    say = Language(seed, words=2000)
    texts = [say.paragraphs(400) for _ in range(500)]
    for number in range(mails):
        head = f"From: monitor@{DOMAIN}\r\nTo: {user}@{DOMAIN}\r\nSubject: Report {number}\r\n"
        named = f"Message-ID: <{say.token(24)}@x>\r\n\r\n"
        octets = (head + named + say.dice.choice(texts) + say.token(40) + "\r\n").encode()
        yield Delivery(user, mailbox, octets, ("\\Seen",) if number % 3 else (), FIRST_DAY + number * 60)


def giant(seed: int, user: str, mailbox: str, octets: int) -> Delivery:
    """Return one mail of about so many octets: a single attachment that can't be compressed."""
    say = Language(seed, words=500)
    head = f"From: big@{DOMAIN}\r\nSubject: One file\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode()
    return Delivery(user, mailbox, head + base64_lines(say.dice.randbytes(octets * 3 // 4 * 76 // 78)), (), FIRST_DAY)


def spread(seed: int, users: Sequence[str], mailboxes: int, *, each: int = 2) -> Iterator[Delivery]:
    """Yield a few small mails in each of many mailboxes of each user."""
    for number, user in enumerate(users):
        for at, mail in enumerate(swarm(seed * 1000 + number, user, "INBOX", mailboxes * each)):
            box = at // each
            yield mail._replace(mailbox=f"Team {box % 20}/Case {box}") if box else mail


def small_mails(seed: int, users: Sequence[str], mails: int) -> Iterator[Delivery]:
    """Yield mails of about 1 KB, as many to each user, one mailbox each."""
    for number, user in enumerate(users):
        yield from swarm(seed + number, user, "INBOX", mails // len(users))


def huge_mails(seed: int, users: Sequence[str], mails: int, *, octets: int = 20_000_000) -> Iterator[Delivery]:
    """Yield few huge mails, of 20 MB if no other size is given."""
    for number in range(mails):
        yield giant(seed + number, users[number % len(users)], "INBOX", octets)


PROFILES: dict[str, Callable[[int, Sequence[str], int], Iterator[Delivery]]] = {
    "business": office,
    "small": small_mails,
    "huge": huge_mails,
}
"""What an office's mail may be like: a mix, many small mails, few huge ones."""
