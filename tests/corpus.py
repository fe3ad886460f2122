"""Mails and names that are hard on whoever handles them, as plain octets.

All that have room for it hold the private words of `tests.secret`, so that a leak shows.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Mapping
from types import MappingProxyType

from tests.secret import PRIVATE_ADDRESS, PRIVATE_SUBJECT

EMPTY = b""
"""No octet at all: Dovecot and Cyrus refuse it, Courier takes it."""

_SENDER = f"Anna <anna@{PRIVATE_ADDRESS}>".encode()


def plain_mail(number: int = 1, *, body: bytes = b"Good day.\r\n", subject: str = "", headers: bytes = b"") -> bytes:
    """Build an ordinary mail. `headers` are whole lines put before the blank one; mails differ by their number."""
    head = (
        b"From: " + _SENDER + b"\r\n"
        b"To: " + f"Bo <bo@{PRIVATE_ADDRESS}>\r\n".encode()
        + f"Subject: {PRIVATE_SUBJECT} {subject or f'number {number}'}\r\n".encode()
        + f"Message-ID: <{number}.mail@{PRIVATE_ADDRESS}>\r\n".encode()
        + b"Date: Fri, 21 Nov 1997 09:55:06 -0600\r\n"
    )  # fmt: skip
    return head + headers + b"\r\n" + body


def octets(size: int, seed: int = 1) -> bytes:
    """Return octets that no compressor makes smaller; the same for the same seed."""
    return random.Random(seed).randbytes(size)


def base64_lines(content: bytes, *, width: int = 76, end: bytes = b"\r\n") -> bytes:
    """Encode content in lines of `width` characters, each with its line end; the last one may be shorter."""
    text = base64.b64encode(content)
    return b"".join(text[at : at + width] + end for at in range(0, len(text), width))


def mail_with(*encoded: bytes, number: int = 1, names: tuple[bytes, ...] = (), end: bytes = b"\r\n") -> bytes:
    """Build a multipart mail whose attachments have the given, already encoded bodies and `name` parameters."""
    parts = [b"Content-Type: text/plain; charset=utf-8", b"", "Grüße\n".encode().replace(b"\n", end)]
    lines = end.join(parts)
    for at, body in enumerate(encoded):
        name = names[at] if at < len(names) else b'name="file%d.bin"' % at
        lines += b"--=_edge" + end + b"Content-Type: application/octet-stream; " + name + end
        lines += b"Content-Transfer-Encoding: base64" + end + end + body
    whole = b"--=_edge" + end + lines + b"--=_edge--" + end
    kind = b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="=_edge"\r\n'
    mail = plain_mail(number, body=whole, headers=kind)
    return mail.replace(b"\r\n", end) if end == b"\n" else mail


def _awkward_lines() -> dict[str, bytes]:
    return {
        "ordinary": plain_mail(1),
        "bare LF": plain_mail(2, body=b"one\ntwo\r\nthree\n"),
        "LF only": plain_mail(3, body=b"one\r\ntwo\r\n").replace(b"\r\n", b"\n"),
        "bare CR": plain_mail(4, body=b"one\rtwo\r\nthree\r\r\n"),
        "NUL": plain_mail(5, body=b"before\x00after\r\n\x00\x00\r\n"),
        "line of 10,000": plain_mail(6, body=b"x" * 10_000 + b"\r\nend\r\n"),
        "no final line end": plain_mail(7, body=b"cut off"),
        "From lines": plain_mail(
            8, body=b"From me to you\r\n>From the past\r\n\r\nFrom x Mon Jan  1 00:00:00 1990\r\n"
        ),
        "mbox line first": b"From x@y Mon Jan  1 00:00:00 1990\r\n" + plain_mail(9),
        "dots": plain_mail(10, body=b".\r\n..\r\n.two\r\n"),
        "ends like a literal": plain_mail(11, body=b"{12}\r\n{3+}\r\n) UID 5\r\nA1 OK done\r\n* BYE\r\n"),
        "blank lines": plain_mail(12, body=b"\r\n" * 400),
    }


def _awkward_headers() -> dict[str, bytes]:
    long_name = b"X-Long: " + b"y" * 9_000 + b"\r\n"
    folded = b"X-Folded: one\r\n\ttwo\r\n  three\r\n"
    return {
        "8-bit header": plain_mail(20, headers=b"X-Who: J\xf6rg M\xfcller\r\n"),
        "UTF-8 header": plain_mail(21, subject="Überweisung 日本 🎉"),
        "encoded words": plain_mail(
            22, headers=b"Comments: =?utf-8?B?w5xiZXI=?= =?iso-8859-1?Q?=FCber?= =?x?B?%%?=\r\n"
        ),
        "no Message-ID": plain_mail(23).replace(b"Message-ID", b"X-No-ID"),
        "two Message-IDs": plain_mail(24, headers=b"Message-ID: <second@example.test>\r\n"),
        "no subject, no date": b"From: " + _SENDER + b"\r\n\r\nbody\r\n",
        "header only": plain_mail(25, body=b"").removesuffix(b"\r\n"),
        "header and blank line": plain_mail(26, body=b""),
        "no header": b"\r\nonly a body\r\n",
        "one space": b" ",
        "one line end": b"\r\n",
        "status headers": plain_mail(27, headers=b"Status: RO\r\nX-Status: AF\r\nX-UID: 77\r\nContent-Length: 3\r\n"),
        "long and folded headers": plain_mail(28, headers=long_name + folded),
        "broken header": plain_mail(29, headers=b"this line has no colon\r\n: no name\r\nX-Empty:\r\n"),
    }


def _attachments() -> dict[str, bytes]:
    picture, table = octets(40_000, 7), b"date;amount\r\n" * 4_000
    rfc2231 = b"name*0*=utf-8''%C3%9Cber; name*1*=weisung%20; name*2=2024.pdf"
    rfc2047 = b'name="=?utf-8?Q?Rechnung_f=C3=BCr_Anna.pdf?="'
    return {
        "attachment": mail_with(base64_lines(picture), number=40),
        "the same attachment again": mail_with(base64_lines(picture), number=41),
        "two attachments": mail_with(base64_lines(picture), base64_lines(table), number=42),
        "one attachment twice": mail_with(base64_lines(picture), base64_lines(picture), number=43),
        "RFC 2231 name": mail_with(base64_lines(table), number=44, names=(rfc2231,)),
        "RFC 2047 name": mail_with(base64_lines(table), number=45, names=(rfc2047,)),
        "large attachment": mail_with(base64_lines(octets(3_000_000, 8)), number=46),
        "attachment, LF only": mail_with(base64_lines(picture, end=b"\n"), number=47, end=b"\n"),
        "just base64": plain_mail(48, body=base64_lines(picture), headers=b"Content-Transfer-Encoding: base64\r\n"),
    }


def _base64() -> dict[str, bytes]:
    body = octets(6_001, 9)
    lines = base64_lines(body).split(b"\r\n")
    mixed = b"".join(line + (b"\n" if at % 3 == 0 else b"\r\n") for at, line in enumerate(lines))
    middle = base64_lines(octets(2_000, 10)) + base64_lines(octets(2_000, 11))
    wrong = {
        "padding in the middle": middle,
        "mixed line ends": mixed,
        "no last line end": base64_lines(body).removesuffix(b"\r\n"),
        "bits after the end": base64_lines(body)[:-5] + b"B==\r\n",
        "padding missing": base64_lines(octets(6_002, 12)).replace(b"=", b""),
        "one line, 8,000 characters": base64_lines(body, width=8_004),
        "trailing blanks": base64_lines(body).replace(b"\r\n", b" \r\n"),
        "leading blanks": b"  " + base64_lines(body).replace(b"\r\n", b"\r\n  "),
        "a foreign character": base64_lines(body)[:400] + b"!" + base64_lines(body)[401:],
        "URL alphabet": base64_lines(body).translate(bytes.maketrans(b"+/", b"-_")),
        "a line too long": base64_lines(body[:2_280]) + b"QUJD" + base64_lines(body[2_280:]),
        "a blank line within": base64_lines(body[:2_280]) + b"\r\n" + base64_lines(body[2_280:]),
        "just over a threshold": base64_lines(octets(769, 13)),
        "odd end": base64_lines(body) + b"====\r\n",
    }
    wrong |= {f"lines of {width}": base64_lines(body, width=width) for width in (4, 60, 64, 72, 73, 75, 77, 996)}
    return {f"base64: {name}": mail_with(text, number=60 + at) for at, (name, text) in enumerate(wrong.items())}


MESSAGES: Mapping[str, bytes] = MappingProxyType(
    {**_awkward_lines(), **_awkward_headers(), **_attachments(), **_base64()}
)
"""Every mail by name; all differ."""

TWINS = (plain_mail(99), plain_mail(99))
"""Two equal mails, which stay two wherever they go."""

SERVABLE: Mapping[str, bytes] = MappingProxyType(
    {name: mail for name, mail in MESSAGES.items() if b"\x00" not in mail and b"\n" not in mail.replace(b"\r\n", b"")}
)
"""Those that Dovecot serves as they lie in its Maildir: it makes a bare LF CRLF, and a NUL 0x80."""

MAILBOX_NAMES = (
    "Überweisungen",
    "日本語/経理",
    'Say "cheese"',
    "back\\slash",
    "2024",
    "Projects/2024/Q1",
    "R&D",
    "&",
    "two  spaces and one at the end ",
    "100% *",
    "tilde~",
    "NIL",
    "🎉",
    "(brackets) {5} [x]",
)
"""Mailboxes, `/` between levels, which Dovecot takes with any storage."""

DOTTED_NAMES = ("v1.2 plan", "example.test", "Clients/ACME Inc.")
"""Mailboxes that hold the delimiter of other servers; Dovecot's Maildir refuses them, mdbox and Cyrus don't."""
