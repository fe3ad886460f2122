"""Reaching a server: name, port, TLS, greeting; imapclient makes the connection, we take it over."""

from __future__ import annotations

import hashlib
import hmac
import imaplib
import io
import re
import socket
import ssl
from typing import Any

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError
from imapclient.imap4 import IMAP4WithTimeout
from imapclient.tls import IMAP4_TLS

from imap.errors import BadUrl, CannotConnect, ImapError, UntrustedCertificate
from imap.model import Endpoint
from imap.pace import Pace, PacedReader
from imap.refusal import refusal, wants_us_to_wait
from imap.tokens import Status, parse_status, readable
from imap.wire import Wire

_GULP = 256 << 10
_CAPABILITIES = re.compile(rb"\[CAPABILITY ([^\]]*)\]", re.IGNORECASE)


class _AsksNothing(imaplib.IMAP4):
    """imaplib without its CAPABILITY command on each connection: the greeting mostly says it, and we ask if not."""

    def open(self, *arguments: Any) -> None:
        """Open the connection, to be read in large gulps: a mail then costs one call of the kernel, not several."""
        super().open(*arguments)
        self.file = self.sock.makefile("rb", _GULP)  # type: ignore[assignment]  # as imaplib does

    def _get_capabilities(self) -> None:
        self.capabilities = ("IMAP4REV1",)


class _Plain(_AsksNothing, IMAP4WithTimeout):  # type: ignore[misc]  # imapclient comes without types
    pass


class _Tls(_AsksNothing, IMAP4_TLS):  # type: ignore[misc]
    pass


class _Client(IMAPClient):  # type: ignore[misc]
    def _create_IMAP4(self) -> imaplib.IMAP4:  # noqa: N802  # the hook's name is imapclient's
        kind: Any = _Tls if self.ssl else _Plain
        context = (self.ssl_context,) if self.ssl else ()
        made: imaplib.IMAP4 = kind(self.host, self.port, *context, self._timeout.connect)
        return made


def connect(endpoint: Endpoint, *, timeout: float, pace: Pace | None = None) -> tuple[Wire, bytes]:
    """Return a wire to the server, secured as the endpoint demands, read at a pace, and the greeting's text.

    Raises CannotConnect, UntrustedCertificate, Throttled, or BadUrl for a CA file that can't be read.
    """
    context = tls_context(endpoint) if endpoint.tls != "off" else None
    client = None
    try:
        client = _Client(
            endpoint.host, endpoint.port, ssl=endpoint.tls == "implicit", ssl_context=context, timeout=timeout
        )
        wire = _taken_over(client, timeout, pace)
        greeting: bytes = client._imap.welcome  # noqa: SLF001  # imapclient hands it out in no other way
        if endpoint.tls == "starttls":
            assert context is not None
            wire = _start_tls(client, wire, endpoint, context, timeout=timeout, pace=pace)
        check_fingerprint(client.socket(), endpoint)
    except (OSError, ValueError, MemoryError, OverflowError, imaplib.IMAP4.error, IMAPClientError) as error:
        _close(client)
        raise explain(error, endpoint, timeout) from None
    except ImapError:
        _close(client)
        raise
    return wire, greeting


def greeted_capabilities(text: bytes) -> frozenset[str]:
    """Return the capabilities that a greeting or an OK carries in its response code; empty where it carries none."""
    match = _CAPABILITIES.search(text)
    return frozenset(match[1].decode("latin-1").upper().split()) if match else frozenset()


def _taken_over(client: Any, timeout: float, pace: Pace | None) -> Wire:
    imap = client._imap  # noqa: SLF001  # the point of the exercise
    imap.debug = 0  # imapclient sets 5, which formats every octet that passes
    reader = imap.file if pace is None else io.BufferedReader(PacedReader(imap.file, pace))
    return Wire(client.socket(), reader, timeout=timeout)


def _start_tls(
    client: Any, wire: Wire, endpoint: Endpoint, context: ssl.SSLContext, *, timeout: float, pace: Pace | None
) -> Wire:
    """Go over to TLS, or refuse to go on: nothing is said in plain text that was not asked for."""
    _, status = wire.ask(b"STARTTLS", what="STARTTLS")
    if not status.ok:
        raise CannotConnect(
            f"{endpoint.host} does not offer STARTTLS on port {endpoint.port}",
            hint="use imaps:// (port 993), or add ?tls=off to send everything, the password too, in plain text",
        )
    client._imap.sock = context.wrap_socket(client.socket(), server_hostname=endpoint.host)  # noqa: SLF001
    # A new reader: what came in plain text after the OK is not to be believed (RFC 3207's and CVE-2011-0411's lesson).
    client._imap.file = client._imap.sock.makefile("rb", _GULP)  # noqa: SLF001
    return _taken_over(client, timeout, pace)


def tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    """Return what checks the server's certificate as an endpoint demands. Raises BadUrl."""
    try:
        context = ssl.create_default_context(cafile=endpoint.ca)
    except (OSError, ssl.SSLError):
        raise BadUrl(
            f"the CA file for {endpoint.host} can't be read: {endpoint.ca}",
            hint="?ca= names a file of PEM certificates",
        ) from None
    if endpoint.fingerprint:
        # The pin is stricter than any chain of trust, and is checked before the first secret is sent.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def check_fingerprint(sock: socket.socket, endpoint: Endpoint) -> None:
    """Compare the certificate that the server shows with a pinned one. Raises UntrustedCertificate."""
    if not endpoint.fingerprint or not isinstance(sock, ssl.SSLSocket):
        return
    shown = hashlib.sha256(sock.getpeercert(binary_form=True) or b"").hexdigest()
    if not hmac.compare_digest(shown, endpoint.fingerprint):
        raise UntrustedCertificate(
            f"{endpoint.host} shows a certificate with another fingerprint than the one pinned: {shown}",
            hint="if the server's certificate was renewed, check this one and put it into ?fingerprint=",
        )


def explain(error: Exception, endpoint: Endpoint, timeout: float) -> ImapError:  # noqa: PLR0911  # a table
    """Return what a failed connection means, in one line, with the remedy."""
    place = f"{endpoint.host} port {endpoint.port}"
    match error:
        case ssl.SSLCertVerificationError():
            return untrusted(error, endpoint)
        case ssl.SSLError():
            return CannotConnect(
                f"{place} does not speak TLS as expected ({error.reason or 'handshake failed'})",
                hint="imaps:// is for port 993; for STARTTLS on port 143 write imap://",
            )
        case socket.gaierror() | UnicodeError():
            return CannotConnect(f"unknown host {endpoint.host}", hint="check the name in the URL, and the DNS")
        case TimeoutError():
            return CannotConnect(
                f"no answer from {place} within {timeout:g} seconds", hint="check host, port and firewall"
            )
        case ConnectionRefusedError():
            return CannotConnect(f"{place} refuses connections", hint="is the IMAP server running, and the port right?")
        case MemoryError() | OverflowError():  # a greeting with a literal of any size, which imaplib believes
            return _not_welcome(Exception(), place)
        case imaplib.IMAP4.error() | IMAPClientError():
            return _not_welcome(error, place)
        case OSError():
            return CannotConnect(
                f"can't reach {place}: {error.strerror or 'the connection broke'}", hint="check the network"
            )
        case _:
            return CannotConnect(f"can't reach {place}", hint="check the URL")


def untrusted(error: ssl.SSLCertVerificationError, endpoint: Endpoint) -> UntrustedCertificate:
    """Return why a certificate is not trusted, with the remedy."""
    where = f"openssl s_client -connect {endpoint.host}:{endpoint.port}"
    if endpoint.tls == "starttls":
        where += " -starttls imap"
    match error.verify_code:
        case 10:
            words, hint = "has expired", "have it renewed, or pin it with ?fingerprint=SHA256"
        case 62 | 64:
            words = "is for another host name"
            hint = "use the name that the certificate holds, or pin it with ?fingerprint=SHA256"
        case _:
            words = f"is not trusted ({error.verify_message or 'unknown issuer'})"
            hint = (
                "for a private CA add ?ca=FILE; or pin it with ?fingerprint=SHA256, shown by: "
                f"{where} </dev/null | openssl x509 -noout -fingerprint -sha256"
            )
    return UntrustedCertificate(f"the certificate of {endpoint.host} {words}", hint=hint)


def _not_welcome(error: Exception, place: str) -> ImapError:
    """Tell a BYE in place of a greeting from something that is no IMAP server at all."""
    words = error.args[0] if error.args else b""
    text = words if isinstance(words, bytes) else str(words).encode()
    status = parse_status(text)
    if status and status.kind == "BYE":
        if wants_us_to_wait(status):
            return refusal(Status("NO", status.code, status.text), f"{place} turned us away")
        return CannotConnect(f"{place} turned us away: {status.text or 'BYE'}", hint="the server's log may say why")
    detail = f": {readable(text, 80)}" if text and b"socket error" not in text else ""
    return CannotConnect(
        f"{place} does not answer as an IMAP server does{detail}", hint="imaps:// is port 993, imap:// is port 143"
    )


def _close(client: Any) -> None:
    if client is not None:
        try:
            client.shutdown()
        except OSError:
            return
