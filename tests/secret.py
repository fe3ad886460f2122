"""What must never be heard of: the secrets a test run draws, and the private words in its mails.

Whoever makes up a password or passphrase takes it from `new_secret()`; `tests.leaks` then searches for it in everything
that a test says.
"""

from __future__ import annotations

import secrets

SECRETS: set[str] = set()
"""Passwords, passphrases and keys of this process; none may stand in any output, log or error."""

PRIVATE_ADDRESS = "correspondent.invalid"
PRIVATE_SUBJECT = "Vertraulich-7Kq2"
PRIVATE_WORDS = (PRIVATE_ADDRESS, PRIVATE_SUBJECT)
"""Stand in the addresses and subjects of the mails of `tests.corpus`; results may hold them, logs and errors not."""


def new_secret(octets: int = 16) -> str:
    """Draw a password and remember to search for it."""
    return keep_secret(secrets.token_urlsafe(octets))


def keep_secret(text: str) -> str:
    """Remember a secret that somebody else drew; returns it."""
    SECRETS.add(text)
    return text


def leaked(text: str, *, result: bool = False) -> str:
    """Say what in `text` should not be there; empty when all is well. Results (stdout) may tell private words."""
    if any(secret in text for secret in SECRETS):
        return "a secret"
    words = [] if result else [word for word in PRIVATE_WORDS if word in text]
    return f"private word {words[0]!r}" if words else ""


def watched(text: str, *, result: bool = False) -> str:
    """Return what a child process said, having looked for leaks in it."""
    found = leaked(text, result=result)
    assert not found, f"a child process told {found}"
    return text
