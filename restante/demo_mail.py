"""A few dozen made-up mails of all kinds, the same on every run, for the demo."""

from __future__ import annotations

import base64
import quopri
import random
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

MAILBOXES = (
    "Sent", "Drafts", "Archive", "Archive/2024", "Archive/2025", "Projects/Rügen", "Projects/Rügen/Offers",
    "日本", "a & b", "2026", "Empty",
)  # fmt: skip
SUBSCRIBED = ("Sent", "Archive/2024", "Projects/Rügen", "日本")
ZONES = ("+0000", "-0700", "+0530", "+0200", "+1345")
WORDS = (
    "offer", "invoice", "meeting", "harbour", "ferry", "tide", "lighthouse", "budget", "draft", "contract", "island",
    "crew", "repair", "engine", "timetable", "ticket", "passenger", "storm", "delay", "insurance", "permit", "quay",
    "mooring", "winter", "season", "brochure", "printer", "deadline",
)  # fmt: skip


class DemoMail(NamedTuple):
    """One mail as it goes to the server; `internaldate` is IMAP text with its own zone."""

    mailbox: str
    octets: bytes
    flags: tuple[str, ...]
    internaldate: str


class _Writer:
    """Draws everything from one seeded generator, so that each run makes the same mails."""

    def __init__(self) -> None:
        self.dice = random.Random(20260101)  # noqa: S311  (made-up mail, nothing secret)
        self.number = 0

    def text(self, sentences: int) -> str:
        said = (" ".join(self.dice.choices(WORDS, k=self.dice.randint(5, 12))).capitalize() for _ in range(sentences))
        return "\r\n".join(textwrap.wrap(". ".join(said) + ".", 72)) + "\r\n"

    def head(self, subject: bytes, *more: str, to: str = "anna@example.org", with_id: bool = True) -> bytes:
        self.number += 1
        lines = [f"From: Bo Lindqvist <bo{self.number % 7}@example.net>", f"To: {to}"]
        lines += [f"Date: {1 + self.number % 28} Mar 2025 {self.number % 24:02}:15:00 {ZONES[self.number % 5]}"]
        lines += [f"Message-ID: <demo.{self.number}@example.net>"] if with_id else []
        head = "\r\n".join([*lines, "MIME-Version: 1.0", *more]).encode()
        return b"Subject: " + subject + b"\r\n" + head + b"\r\n\r\n"

    def octets(self, length: int) -> bytes:
        return self.dice.randbytes(length)


def _lines(data: bytes, width: int = 76) -> bytes:
    text = base64.b64encode(data)
    return b"".join(text[at : at + width] + b"\r\n" for at in range(0, len(text), width))


def _part(kind: str, encoding: str, body: bytes, name: str = "") -> bytes:
    named = f'; name="{name}"' if name else ""
    return f"--=_demo\r\nContent-Type: {kind}{named}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode() + body


def _attached(writer: _Writer, subject: str, parts: bytes, to: str = "anna@example.org") -> bytes:
    head = writer.head(subject.encode(), 'Content-Type: multipart/mixed; boundary="=_demo"', to=to)
    return head + _part("text/plain", "7bit", writer.text(2).encode()) + parts + b"--=_demo--\r\n"


def _encodings(writer: _Writer) -> Iterator[bytes]:
    """Subjects and bodies in each way that mail has of saying more than ASCII."""
    says = "Grüße aus Saßnitz, das Schiff fährt um acht."
    yield writer.head(b"=?utf-8?b?" + base64.b64encode("Grüße".encode()) + b"?=") + writer.text(3).encode()
    yield writer.head("Grüße".encode()) + says.encode() + b"\r\n"
    yield writer.head("Grüße".encode("latin-1"), "Content-Type: text/plain; charset=iso-8859-1") + says.encode(
        "latin-1"
    )
    quoted = quopri.encodestring(says.encode() * 9).replace(b"\n", b"\r\n")
    yield (
        writer.head(b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Content-Transfer-Encoding: quoted-printable") + quoted + b"\r\n"
    )
    yield writer.head(b"=?iso-2022-jp?b?GyRCPFU7aRsoQg==?=") + "船は八時に出ます。\r\n".encode("iso-2022-jp")
    yield writer.head(b"=?gb18030?b?tKw=?=", "Content-Transfer-Encoding: base64") + _lines(says.encode("utf-16"), 60)


def _oddities(writer: _Writer) -> Iterator[bytes]:
    """What standards forbid and mailboxes hold all the same."""
    yield writer.head(b"no message id", with_id=False) + writer.text(2).encode()
    yield writer.head(b"bare line feeds") + b"one\ntwo\nthree\n"
    yield writer.head(b"a lone carriage return") + b"over\rwritten\r\n"
    yield writer.head(b"a NUL octet") + b"before\x00after\r\n"
    yield writer.head(b"a very long line") + b"x" * 10_000 + b"\r\n"
    yield writer.head(b"no end of line at the end") + b"the end"
    yield writer.head(b"looks like mbox") + b"From here on it rains.\r\n>From there too.\r\n.\r\n"
    yield writer.head(b"") + b"The subject is empty.\r\n"
    yield writer.head(b"header only")
    encoded = "Content-Transfer-Encoding: base64"
    yield writer.head(b"base64 with a bad tail", encoded) + _lines(writer.octets(3000)) + b"@@"
    yield writer.head(b"base64 in lines of 64", encoded) + _lines(writer.octets(5000), 64)
    yield writer.head(b"wrong charset", "Content-Type: text/plain; charset=utf-8") + b"\xff\xfe\x80 not UTF-8\r\n"


def _letters(writer: _Writer) -> Iterator[DemoMail]:
    for number, octets in enumerate(_encodings(writer)):
        yield _mail(writer, ("INBOX", "日本")[number > 3], octets, number)
    for number, octets in enumerate(_oddities(writer)):
        yield _mail(writer, ("Archive/2024", "a & b")[number % 2], octets, number)


def _attachments(writer: _Writer) -> Iterator[DemoMail]:
    """One brochure sent to six, a photo of its own, and a mail within a mail."""
    brochure = _part("application/pdf", "base64", _lines(writer.octets(240_000)), "brochure.pdf")
    for number, name in enumerate(("anna", "ben", "carla", "dmitri", "eve", "farid")):
        octets = _attached(writer, "The new brochure", brochure, f"{name}@example.org")
        yield _mail(writer, ("Sent", "Projects/Rügen/Offers")[number % 2], octets, number)
    photo = _part("image/jpeg", "base64", _lines(writer.octets(900_000)), "quay.jpg")
    yield _mail(writer, "Projects/Rügen", _attached(writer, "A photo of the quay", photo), 1)
    inner = writer.head(b"the inner one") + writer.text(3).encode()
    yield _mail(writer, "INBOX", _attached(writer, "Fwd", _part("message/rfc822", "7bit", inner)), 2)


def _thread(writer: _Writer) -> Iterator[DemoMail]:
    """Twelve answers, each quoting the one before in full."""
    said = writer.text(6)
    for number in range(12):
        head = writer.head(f"Re: timetable ({number})".encode(), "References: <thread@example.net>")
        yield _mail(writer, ("Archive/2025", "Sent", "INBOX")[number % 3], head + said.encode(), number)
        said = writer.text(3) + "\r\n> ".join(["\r\nBo wrote:", *said.splitlines()]) + "\r\n"


FLAGS: tuple[tuple[str, ...], ...] = (
    ("\\Seen",), (), ("\\Seen", "\\Flagged"), ("\\Answered", "\\Seen", "$Forwarded"), ("$Label1", "invoice"),
)  # fmt: skip


def _mail(writer: _Writer, mailbox: str, octets: bytes, number: int) -> DemoMail:
    zone = ZONES[(number + len(mailbox)) % len(ZONES)]
    month = writer.dice.choice(("Jan", "Jun", "Dec"))
    when = f"{1 + number % 28:02}-{month}-{2015 + number % 11} {number % 24:02}:44:{number % 60:02} {zone}"
    return DemoMail(mailbox, octets, FLAGS[number % len(FLAGS)], when)


def demo_mails() -> tuple[DemoMail, ...]:
    """Return the demo's mails, the same ones on every call; two of them are equal to the last octet."""
    writer = _Writer()
    mails = [*_letters(writer), *_attachments(writer), *_thread(writer)]
    draft = _mail(writer, "Drafts", writer.head(b"unfinished") + b"Dear", 4)._replace(flags=("\\Draft",))
    twin = _mail(writer, "2026", writer.head(b"sent twice") + writer.text(2).encode(), 7)
    return (*mails, draft, twin, twin)
