"""Delivery as target, by LMTP or SMTP: for servers that let nobody write by IMAP (RFC 2033, 5321, 3030).

The only recipient is ever the account itself; no address in a message is looked at. The sender is empty, so that
nothing bounces to anybody. What was delivered stands in a ledger: the server can't be asked what it has.
"""

from __future__ import annotations

import hashlib
import re
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple

from imap.connect import check_fingerprint, explain, tls_context
from imap.errors import CannotConnect, ImapError, LoginRefused
from imap.model import Endpoint, Login
from restore.errors import RestoreTrouble
from restore.model import Alteration, Placed, PlannedMailbox, ReadBack, Replay, Survey
from restore.targets.ledger import Ledger
from restore.targets.recipient import Recipient, recipient_of

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0
_LONGEST_LINE = 998
"""RFC 5321 §4.5.3.1.6, without the line end."""
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")
_LOST = "mail is delivered anew: flags, dates and mailboxes are lost, and the server adds lines of its own on top"


class DeliveryTarget:
    """One recipient behind an LMTP or SMTP server; `patience` bounds the seconds that a busy server is waited for.

    Raises RestoreTrouble where the account's name is no address.
    """

    known_by: Literal["blob"] = "blob"
    connections = 2

    def __init__(
        self,
        endpoint: Endpoint,
        login: Login | None,
        ledgers: Path,
        *,
        patience: float = 300,
        timeout: float = 60,
    ) -> None:
        self._endpoint = endpoint
        self._recipient = recipient_of(endpoint.account)
        self._login = login
        self._patience = patience
        self._timeout = timeout
        self._ledger = Ledger(ledgers / f"{hashlib.sha256(self.url.encode()).hexdigest()[:32]}.txt")
        self._idle: list[smtplib.SMTP] = []
        self._lock = threading.Lock()
        self._said = False

    @property
    def url(self) -> str:
        """Server and recipient, for reports."""
        scheme = "smtps" if self._endpoint.tls == "implicit" else self._endpoint.protocol
        return f"{scheme}://{self._endpoint.account}@{self._endpoint.host}:{self._endpoint.port}"

    def survey(self) -> Survey:
        """Nothing can be seen from here."""
        return Survey()

    def prepare(self, planned: PlannedMailbox) -> list[Alteration]:
        """Say once what delivery loses, and where it is noted what was delivered before."""
        del planned
        if self._said:
            return []
        self._said = True
        before = f"what {self._ledger.path} names was delivered before and is left out; remove it to deliver all again"
        return [Alteration("", None, what) for what in (_LOST, *([before] if self._ledger.exists else []))]

    def annotate_server(self, metadata: Sequence[tuple[str, bytes]]) -> list[Alteration]:
        """Nobody asks: the survey says that nothing of the kind is kept."""
        raise NotImplementedError

    def present(self, planned: PlannedMailbox) -> Counter[bytes]:
        """Count what the ledger says was delivered of a mailbox."""
        return self._ledger.delivered(planned.name)

    def append(self, planned: PlannedMailbox, batch: Sequence[Replay]) -> list[Placed]:
        """Deliver messages one by one, each noted as soon as the server has taken it."""
        return [self._deliver(planned, replay) for replay in batch]

    def read_back(self, planned: PlannedMailbox) -> Iterator[ReadBack]:
        """Raise RestoreTrouble: what was delivered can't be read back."""
        raise RestoreTrouble(f"what was delivered of {planned.name} can't be read back", hint="leave --verify out")

    def close(self) -> None:
        """Say good-bye on all connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for server in idle:
            with suppress(OSError, smtplib.SMTPException):
                server.quit()

    def _deliver(self, planned: PlannedMailbox, replay: Replay) -> Placed:
        started, wait = time.monotonic(), _FIRST_WAIT
        while True:
            sent = self._try(replay.octets)
            if sent.code // 100 == 2:
                self._ledger.note(planned.name, replay.row.blob.hex())
                return Placed(altered=sent.altered)
            if sent.code // 100 != 4 or time.monotonic() - started + wait > self._patience:
                return Placed(sent.words)
            time.sleep(wait)
            wait = min(_LONGEST_WAIT, wait * 2)

    def _try(self, octets: bytes) -> _Sent:
        """Send a message once; trouble on the way is an answer too, as if the server had said to come back."""
        try:
            with self._server() as server:
                reason = _unspeakable(octets, server)
                if reason:
                    return _Sent(550, reason)
                code, words = _send(server, self._recipient, octets)
                return _Sent(code, f"the server says: {code} {words}", tuple(_altered(octets, server)))
        except _AnswerLost:
            return _Sent(550, "the connection broke before the answer: perhaps it arrived; run again to send it")
        except (OSError, smtplib.SMTPException) as error:
            return _Sent(421, f"the connection broke: {error}")

    @contextmanager
    def _server(self) -> Iterator[smtplib.SMTP]:
        """Lend a connection; one that broke is not taken back. Raises ImapError where there is no way in."""
        with self._lock:
            server = self._idle.pop() if self._idle else None
        server = server or self._connected()
        try:
            yield server
        except BaseException:
            server.close()
            raise
        with self._lock:
            self._idle.append(server)

    def _connected(self) -> smtplib.SMTP:
        endpoint, login = self._endpoint, self._login
        made: list[smtplib.SMTP] = []
        try:
            made.append(_connect(endpoint, self._timeout))
            made[0].ehlo_or_helo_if_needed()
            if endpoint.tls == "starttls":
                made[0].starttls(context=tls_context(endpoint))
            if made[0].sock is not None:
                check_fingerprint(made[0].sock, endpoint)
            if login is not None:
                made[0].login(endpoint.user, login.secret())
            _check_speaks_of(self._recipient, made[0], endpoint)
        except BaseException as error:
            for server in made:
                server.close()
            if isinstance(error, Exception):
                raise _told(error, endpoint, self._timeout) from None
            raise
        return made[0]


class _Sent(NamedTuple):
    code: int
    words: str
    altered: tuple[str, ...] = ()


def _connect(endpoint: Endpoint, timeout: float) -> smtplib.SMTP:
    if endpoint.protocol == "lmtp":
        return smtplib.LMTP(endpoint.host, endpoint.port, timeout=timeout)
    if endpoint.tls == "implicit":
        context = tls_context(endpoint)
        return smtplib.SMTP_SSL(endpoint.host, endpoint.port, timeout=timeout, context=context)
    return smtplib.SMTP(endpoint.host, endpoint.port, timeout=timeout)


def _told(error: Exception, endpoint: Endpoint, timeout: float) -> Exception:
    """Return what a failed connection or login means, in one line. No error repeats a secret."""
    place = f"{endpoint.host} port {endpoint.port}"
    match error:
        case ImapError():
            return error
        case smtplib.SMTPNotSupportedError():
            hint = "add ?tls=off to send everything in plain text, or leave as= out where no login is needed"
            return CannotConnect(f"{place} offers no TLS, or no login that we know", hint=hint)
        case smtplib.SMTPAuthenticationError():
            return LoginRefused(f"{place} refuses the login of {endpoint.user}", hint="check user name and password")
        case smtplib.SMTPServerDisconnected() | smtplib.SMTPResponseException():
            return CannotConnect(f"{place} turned us away: {error}", hint="the server's log may say why")
        case OSError() | ValueError():
            return explain(error, endpoint, timeout)
    return error


class _AnswerLost(Exception):
    """The connection broke when the message was out and the answer not in."""


def _check_speaks_of(recipient: Recipient, server: smtplib.SMTP, endpoint: Endpoint) -> None:
    """Raise CannotConnect where a recipient beyond ASCII can't be named to the server (RFC 6531 §3.1)."""
    if not recipient.isascii() and not server.has_extn("smtputf8"):
        place = f"{endpoint.host} port {endpoint.port}"
        hint = "restore it over IMAP or into files, or name another recipient in the URL"
        raise CannotConnect(f"{place} offers no SMTPUTF8, and {recipient} is not plain ASCII", hint=hint)


def _send(server: smtplib.SMTP, recipient: Recipient, octets: bytes) -> tuple[int, str]:
    """Deliver one message; return the server's answer. Raises OSError, SMTPException where nothing was taken."""
    options = ["BODY=BINARYMIME"] if _is_exact(server) else ["BODY=8BITMIME"] * server.has_extn("8bitmime")
    if not recipient.isascii():
        options.append("SMTPUTF8")
    code, words = server.mail("", options)
    if code // 100 == 2:
        # smtplib's own rcpt() would parse the recipient, and might find another one in it
        code, words = server.docmd("RCPT", f"TO:<{recipient}>")
    if code // 100 != 2:
        server.rset()
        return code, _readable(words)
    try:
        code, words = _bdat(server, octets) if server.has_extn("chunking") else server.data(octets)
    except smtplib.SMTPDataError as refused:
        return refused.smtp_code, _readable(refused.smtp_error)
    except (OSError, smtplib.SMTPServerDisconnected):
        raise _AnswerLost from None
    return code, _readable(words)


def _bdat(server: smtplib.SMTP, octets: bytes) -> tuple[int, bytes]:
    """Send a message as one chunk, octets as they are (RFC 3030)."""
    server.send(b"BDAT %d LAST\r\n" % len(octets))
    server.send(octets)
    return server.getreply()


def _is_exact(server: smtplib.SMTP) -> bool:
    """Whether the server takes any octets (RFC 3030 §3)."""
    return server.has_extn("chunking") and server.has_extn("binarymime")


def _unspeakable(octets: bytes, server: smtplib.SMTP) -> str:
    """Say why a message can't go out as it is; empty where it can."""
    if not _is_exact(server) and _BARE.search(octets):
        return "it holds a NUL, or a CR or LF that stands alone: that travels only where BINARYMIME is offered"
    if not server.has_extn("8bitmime") and not octets.isascii():
        return "it holds 8-bit octets, and the server does not offer 8BITMIME"
    return ""


def _altered(octets: bytes, server: smtplib.SMTP) -> Iterator[str]:
    """Yield what may have become of a message on the way."""
    if not server.has_extn("chunking") and not octets.endswith(b"\r\n"):
        yield "its last line got an end"
    if max(map(len, octets.split(b"\r\n"))) > _LONGEST_LINE:
        yield f"lines over {_LONGEST_LINE} octets may have been folded"


def _readable(words: bytes | str) -> str:
    text = words if isinstance(words, str) else words.decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in text)[:300]
