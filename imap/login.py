"""Proving who we are: LOGIN, PLAIN with or without an authorization identity, XOAUTH2, OAUTHBEARER."""

from __future__ import annotations

import base64
from collections.abc import Callable

from imap.arguments import astring
from imap.connect import greeted_capabilities
from imap.errors import ImapError, LoginRefused, Throttled
from imap.model import Endpoint, Login
from imap.refusal import named_wait, wants_us_to_wait
from imap.tokens import Response, Status, kind_of
from imap.wire import Wire

Mechanism = tuple[str, bytes, bytes]
"""SASL name, initial response, and what to answer to a challenge that explains a failure."""


def log_in(wire: Wire, endpoint: Endpoint, login: Login, capabilities: frozenset[str]) -> frozenset[str]:
    """Log in and return the capabilities that hold from now on.

    Raises LoginRefused, Throttled (a busy server), ConnectionLost (one that hangs up in the middle). No error repeats
    the secret, not even where the server does.
    """
    responses, status = _try(wire, endpoint, login, login.secret(), capabilities)
    if not status.ok and login.renew is not None and isinstance(_refused(status, endpoint, login), LoginRefused):
        responses, status = _try(wire, endpoint, login, login.renew(), capabilities)
    if not status.ok:
        raise _refused(status, endpoint, login)
    return told(responses, status) or ask_capabilities(wire)


def _try(
    wire: Wire, endpoint: Endpoint, login: Login, secret: str, capabilities: frozenset[str]
) -> tuple[list[Response], Status]:
    wire.unspeakable = tuple(filter(None, (_octets(secret), base64.b64encode(_octets(secret)))))
    try:
        return _authenticate(wire, endpoint, login, secret, capabilities)
    finally:
        wire.unspeakable = ()


def ask_capabilities(wire: Wire) -> frozenset[str]:
    """Ask for the capabilities."""
    return told(*wire.run(b"CAPABILITY", what="CAPABILITY"))


def told(responses: list[Response], status: Status) -> frozenset[str]:
    """Return the capabilities that an answer brings, in its code or as a response of their own; else the empty set."""
    for response in responses:
        if kind_of(response)[0] == b"CAPABILITY":
            return frozenset(response.text.decode("latin-1").upper().split()[2:])
    return greeted_capabilities(b"[" + status.code + b"]")


def _authenticate(
    wire: Wire, endpoint: Endpoint, login: Login, secret: str, capabilities: frozenset[str]
) -> tuple[list[Response], Status]:
    offered = {c.removeprefix("AUTH=") for c in capabilities if c.startswith("AUTH=")}
    if login.oauth:
        return _sasl(wire, _token(endpoint, secret, offered), capabilities)
    user, impersonate = _identities(endpoint)
    plain = "PLAIN" in offered and ("LOGINDISABLED" in capabilities or not (user + secret).isascii())
    if impersonate or plain or "\0" in user + secret:
        return _sasl(wire, mechanism_for(endpoint, login, secret, offered), capabilities)
    if "LOGINDISABLED" in capabilities:
        raise LoginRefused(
            f"{endpoint.host} allows no login with a password here",
            hint="use imaps:// or STARTTLS; where the server wants OAuth, set `oauth2:` in the configuration",
        )
    return wire.ask(b"LOGIN ", astring(_octets(user)), b" ", astring(_octets(secret)), what="login")


def _identities(endpoint: Endpoint) -> tuple[str, str]:
    """Return who logs in, and as whom he acts."""
    if endpoint.acting_as and endpoint.master_form:
        return endpoint.acting_as + endpoint.master_form + endpoint.user, ""
    return endpoint.user, endpoint.acting_as or ""


def mechanism_for(endpoint: Endpoint, login: Login, secret: str, offered: set[str]) -> Mechanism:
    """Return the SASL mechanism for a login, and what it says (RFC 4616, RFC 7628). Raises LoginRefused for a NUL."""
    if login.oauth:
        return _token(endpoint, secret, offered)
    user, impersonate = _identities(endpoint)
    if "\0" in user + secret:
        raise LoginRefused("a user name or password can't hold a NUL", hint="check where the password comes from")
    return "PLAIN", _octets(f"{impersonate}\0{user}\0{secret}"), b"*"


def _token(endpoint: Endpoint, token: str, offered: set[str]) -> Mechanism:
    user = endpoint.account
    if "OAUTHBEARER" in offered and "XOAUTH2" not in offered:
        text = f"n,a={user},\1host={endpoint.host}\1port={endpoint.port}\1auth=Bearer {token}\1\1"
        return "OAUTHBEARER", text.encode(), b"AQ=="
    return "XOAUTH2", f"user={user}\1auth=Bearer {token}\1\1".encode(), b""


def _sasl(wire: Wire, mechanism: Mechanism, capabilities: frozenset[str]) -> tuple[list[Response], Status]:
    name, initial, after_failure = mechanism
    coded = base64.b64encode(initial)
    command = b"AUTHENTICATE " + name.encode()
    answers: list[Callable[[], None]] = [lambda: wire.send_line(after_failure), lambda: wire.send_line(b"*")]
    if "SASL-IR" in capabilities:
        tag = wire.start(command + b" " + coded, what="login")
    else:
        tag = wire.start(command, what="login")
        answers.insert(0, lambda: wire.send_line(coded))
    for answer in answers:
        if wire.invitation(tag, what="login") is None:
            break
        answer()
    return wire.collect(tag, what="login")


def _refused(status: Status, endpoint: Endpoint, login: Login) -> ImapError:
    words = status.text or status.kind
    if status.code_name not in {"AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED"} and wants_us_to_wait(status):
        return Throttled(
            f"{endpoint.host} won't let {endpoint.account} in now: {words}",
            wait=named_wait(status.text),
            hint="the server is busy or limits us; try again later",
        )
    thing = "token" if login.oauth else "password"
    whose = f"{endpoint.user} acting as {endpoint.acting_as}" if endpoint.acting_as else endpoint.user
    return LoginRefused(
        f"{endpoint.host} refuses the login of {whose}: {words}", hint=f"check the user name and the {thing}"
    )


def _octets(text: str) -> bytes:
    """Return the octets of a name or secret; the environment hands over what is not UTF-8 as surrogates."""
    return text.encode("utf-8", "surrogateescape")
