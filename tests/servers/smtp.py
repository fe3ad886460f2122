"""A real SMTP server (aiosmtpd) with a certificate of its own, and what it was given."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Literal

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.secret import new_secret
from tests.servers.certificate import make_certificate
from tests.servers.process import free_ports

# aiosmtpd would log every line of mail.
logging.getLogger("mail.log").setLevel(logging.WARNING)

Sealed = Literal["starttls", "implicit", "plain"]


@dataclass
class Mailroom:
    """What arrived, and what the server does: refuse everything, or some recipients."""

    port: int
    ca: Path
    user: str = "restante"
    password: str = field(default_factory=new_secret)
    envelopes: list[Envelope] = field(default_factory=list)
    sealed: list[bool] = field(default_factory=list)
    refuses: bool = False
    unknown: set[str] = field(default_factory=set)

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's names)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.unknown:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.refuses:
            return "451 not now"
        self.envelopes.append(envelope)
        assert server.transport is not None
        self.sealed.append(server.transport.get_extra_info("sslcontext") is not None)
        return "250 OK"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        expected = LoginPassword(self.user.encode(), self.password.encode())
        return AuthResult(success=data == expected, handled=False)

    @property
    def mails(self) -> list[EmailMessage]:
        return [message_from_bytes(_octets(one), policy=policy.default) for one in self.envelopes]

    @property
    def subjects(self) -> list[str]:
        return [mail["Subject"] for mail in self.mails]


def _octets(envelope: Envelope) -> bytes:
    content = envelope.content or b""
    return content if isinstance(content, bytes) else content.encode()


@contextmanager
def mailroom(directory: Path, sealed: Sealed = "starttls", host: str = "127.0.0.1") -> Iterator[Mailroom]:
    """Run a server for the length of a test; with STARTTLS it demands both that and a login."""
    certificate = make_certificate(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    room = Mailroom(free_ports(1)[0], certificate.ca)
    login = {} if sealed == "plain" else {"authenticator": room.authenticate}
    tls = {
        "starttls": {"tls_context": context, "require_starttls": True, "auth_required": True},
        "implicit": {"ssl_context": context, "auth_require_tls": False},
        "plain": {},
    }[sealed]
    controller = Controller(room, hostname=host, port=room.port, **login, **tls)  # type: ignore[arg-type]
    controller.start()
    try:
        yield room
    finally:
        controller.stop()
