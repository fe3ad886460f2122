"""The ways a message goes: e-mail, and whatever Apprise knows."""

from __future__ import annotations

import smtplib
import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from typing import Any, Protocol

from restante.config import Apprise, Email
from restante.errors import UsageTrouble
from restante.loading import Loaded
from restante.secrets import Origin
from restante.telling.text import Message

SECONDS = 30


class NotSent(Exception):
    """A message did not arrive. Its text is ours alone: what servers and libraries say may quote secrets."""


class Channel(Protocol):
    """One way of telling."""

    @property
    def name(self) -> str: ...

    def send(self, message: Message) -> str:
        """Send a message; return what should be known of it though it was taken, or "". Raises NotSent."""


def channels_of(loaded: Loaded) -> list[Channel]:
    """Return the ways that a configuration names."""
    notify = loaded.config.notify
    if notify is None:
        return []
    emails = [EmailChannel(notify.email, loaded)] if notify.email is not None else []
    return [*emails, *(AppriseChannel(one, loaded) for one in notify.apprise)]


@dataclass(frozen=True, slots=True)
class EmailChannel:
    """Sends mail through one server."""

    settings: Email
    loaded: Loaded

    @property
    def name(self) -> str:
        return "email"

    def send(self, message: Message) -> str:
        try:
            with self._connected() as server:
                refused = server.send_message(mail_of(message, self.settings))
        except (UsageTrouble, OSError, ValueError) as error:  # smtplib's errors are OSErrors
            raise NotSent(_reason(error)) from None
        return f"the server refused {len(refused)} of {len(self.settings.to)} recipients" if refused else ""

    def _connected(self) -> smtplib.SMTP:
        email, context = self.settings, self._context()
        if email.tls == "implicit":
            server: smtplib.SMTP = smtplib.SMTP_SSL(email.host, email.port or 465, timeout=SECONDS, context=context)
        else:
            server = smtplib.SMTP(email.host, email.port or (25 if email.insecure else 587), timeout=SECONDS)
        try:
            if email.tls == "starttls" and not email.insecure:
                server.starttls(context=context)
            if email.user is not None:
                server.login(email.user, self._password())
        except BaseException:
            server.close()
            raise
        return server

    def _context(self) -> ssl.SSLContext:
        ca = self.loaded.path(self.settings.ca) if self.settings.ca is not None else None
        try:
            return ssl.create_default_context(cafile=ca)
        except OSError as error:
            why = "no certificates in PEM" if isinstance(error, ssl.SSLError) else error.strerror
            raise UsageTrouble(f"cannot use the CA {ca}: {why}") from None

    def _password(self) -> str:
        email = self.settings
        file = self.loaded.path(email.password_file) if email.password_file else None
        return Origin("SMTP password", email.password_env, file, email.password_command).read()


def mail_of(message: Message, email: Email) -> EmailMessage:
    """Return a message as mail."""
    mail = EmailMessage()
    mail["From"] = email.sender
    mail["To"] = ", ".join(email.to)
    mail["Subject"] = message.subject
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid(domain=parseaddr(email.sender)[1].rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation notice answers it
    mail.set_content(message.body)
    return mail


_REASONS: dict[type[Exception], Callable[[Any], str]] = {
    UsageTrouble: lambda error: error.message,
    smtplib.SMTPAuthenticationError: lambda error: f"the server refused user and password ({error.smtp_code})",
    smtplib.SMTPRecipientsRefused: lambda _: "the server refused every recipient",
    smtplib.SMTPNotSupportedError: lambda _: "the server does not offer what is asked of it: STARTTLS or a login",
    smtplib.SMTPResponseException: lambda error: f"the server refused the message ({error.smtp_code})",
    smtplib.SMTPServerDisconnected: lambda _: "the server hung up",
    ssl.SSLCertVerificationError: lambda error: f"the server's certificate is not trusted: {error.verify_message}",
    TimeoutError: lambda _: "the server does not answer",
    smtplib.SMTPException: lambda error: f"the server was not understood ({type(error).__name__})",
    OSError: lambda error: error.strerror or type(error).__name__,
}
"""Why a mail was not taken, in our words: the first that fits."""


def _reason(error: Exception) -> str:
    told = (tell(error) for kind, tell in _REASONS.items() if isinstance(error, kind))
    return next(told, "it can't be written as mail: letters beyond ASCII in user, password or an address?")


@dataclass(frozen=True, slots=True)
class AppriseChannel:
    """Sends by one Apprise URL."""

    settings: Apprise
    loaded: Loaded

    @property
    def name(self) -> str:
        return self.settings.name

    def send(self, message: Message) -> str:
        file = self.loaded.path(self.settings.url_file) if self.settings.url_file else None
        origin = Origin(f"URL of {self.name}", self.settings.url_env, file, self.settings.url_command)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what its many plugins import is not our user's concern
                _by_apprise(origin.read(), message)
        except UsageTrouble as error:
            raise NotSent(error.message) from None
        except (OSError, ValueError, TypeError) as error:
            raise NotSent(type(error).__name__) from None
        return ""


def _by_apprise(url: str, message: Message) -> None:
    import apprise

    way = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Restante", app_desc="Restante", async_mode=False))
    if not way.add(url):
        raise NotSent("Apprise knows no URL like this one")
    if not way.notify(title=message.subject, body=message.body, body_format="text"):
        raise NotSent("Apprise could not deliver it")
