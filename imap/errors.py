"""What can go wrong between us and an IMAP server."""

from __future__ import annotations

from typing import ClassVar


class ImapError(Exception):
    """Something a user can meet: what happened, what to do, whether trying again helps."""

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadUrl(ImapError):
    """A source or target URL that can't be used."""


class CannotConnect(ImapError):
    """Unknown host, refused port or an answer that is not IMAP."""

    retryable = True


class UntrustedCertificate(ImapError):
    """The server's certificate is not one we may trust."""


class LoginRefused(ImapError):
    """The server does not accept user and password (or token)."""


class ConnectionLost(ImapError):
    """The server hung up, fell silent, or sent what can't be parsed; a new connection may help."""

    retryable = True


class Throttled(ImapError):
    """The server asks us to wait; `wait` is how many seconds it named, or None."""

    retryable = True

    def __init__(self, message: str, *, wait: float | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.wait = wait


class Refused(ImapError):
    """The server said NO or BAD to one command; `code` is its response code, e.g. `OVERQUOTA`."""

    def __init__(self, message: str, *, code: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
