"""Source and target URLs: `imaps://alice@example.org@mail.example.org:993?ca=/etc/ca.pem`, or `pop3s://`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import unquote

from imap.errors import BadUrl
from imap.model import Endpoint, Protocol, TlsMode

_PORTS = {"imaps": 993, "imap": 143, "pop3s": 995, "pop3": 110}
_DELIVERY_PORTS = {"lmtp": 24, "smtp": 25, "smtps": 465}
_PROTOCOLS: dict[str, Protocol] = {
    "imaps": "imap", "imap": "imap", "pop3s": "pop3", "pop3": "pop3", "lmtp": "lmtp", "smtp": "smtp", "smtps": "smtp",
}  # fmt: skip
_KEYS = {"tls", "ca", "fingerprint", "as", "master"}
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^:\[\]]*)(?::(?P<port>\d*))?")
_FORM = "imaps://user@host[:port]"


def parse_url(url: str) -> Endpoint:
    """Return what an `imaps://`, `imap://`, `pop3s://` or `pop3://` URL names.

    Raises BadUrl, whose text never repeats a password.

    The user is everything up to the last `@` before the host, percent-encoding undone. Options: `tls=off`, `ca=FILE`,
    `fingerprint=SHA256`, `as=USER`, `master=*`.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or scheme.lower() not in _PORTS:
        raise BadUrl("not an IMAP URL", hint=f"write {_FORM}, or imap:// for a server with STARTTLS")
    return _parse(url, _PORTS)


def parse_delivery_url(url: str) -> Endpoint:
    """Return what an `lmtp://`, `smtp://` or `smtps://` URL names; its account is the one recipient. Raises BadUrl."""
    scheme, separator, _ = url.partition("://")
    if not separator or scheme.lower() not in _DELIVERY_PORTS:
        raise BadUrl("no URL to deliver to", hint="write lmtp://recipient@host[:24], smtp://… or smtps://…")
    return _parse(url, _DELIVERY_PORTS)


def _parse(url: str, ports: Mapping[str, int]) -> Endpoint:
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    user, at, location = authority.rpartition("@")
    host, port = _location(location, ports[scheme])
    if path:
        raise BadUrl(f"the URL for {host} holds a path", hint="choose mailboxes with --mailbox, not in the URL")
    if not at or not user:
        raise BadUrl(f"the URL for {host} names no user", hint=f"write {_FORM}")
    if ":" in user:
        raise BadUrl(
            f"the URL for {host} holds a password",
            hint="leave it out and set RESTANTE_SOURCE_PASSWORD_FILE (RESTANTE_TARGET_PASSWORD_FILE for a target); "
            "a colon that belongs to the user name is written %3A",
        )
    options = _options(query, host)
    return Endpoint(
        host=host,
        port=port,
        user=_decoded(user, host),
        tls=_tls(scheme, options, host),
        ca=options.get("ca"),
        fingerprint=_fingerprint(options, host),
        acting_as=options.get("as"),
        master_form=_master(options, host),
        protocol=_PROTOCOLS[scheme],
    )


def _location(location: str, default: int) -> tuple[str, int]:
    match = _HOST.fullmatch(location)
    if match is None or not match["host"]:
        raise BadUrl("the URL names no host", hint=f"write {_FORM}")
    host = match["host"].strip("[]").lower()
    port = int(match["port"]) if match["port"] else default
    if not 0 < port < 65536:
        raise BadUrl(f"the URL for {host} has a port that can't be", hint="ports go from 1 to 65535")
    return host, port


def _options(query: str, host: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for item in filter(None, query.split("&")):
        key, _, value = item.partition("=")
        if key not in _KEYS:
            raise BadUrl(
                f"the URL for {host} has an option {key!r} that means nothing here",
                hint=f"options are {', '.join(sorted(_KEYS))}",
            )
        if not value:
            raise BadUrl(f"the URL for {host} has an option {key!r} without a value", hint=f"write ?{key}=…")
        options[key] = _decoded(value, host)
    return options


def _decoded(text: str, host: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise BadUrl(f"the URL for {host} has percent-encoding that is not UTF-8", hint="encode as UTF-8") from None
    if not decoded.isprintable():
        raise BadUrl(f"the URL for {host} holds a control character", hint="check its percent-encoding")
    return decoded


def _tls(scheme: str, options: Mapping[str, str], host: str) -> TlsMode:
    wanted = options.get("tls")
    if wanted is None:
        return "implicit" if scheme.endswith("s") else "starttls"
    if wanted != "off":
        raise BadUrl(f"the URL for {host} has tls={wanted}", hint="only tls=off can be said; without it TLS is on")
    if scheme.endswith("s"):
        hint = f"write {scheme[:-1]}://…?tls=off for plain text"
        raise BadUrl(f"the URL for {host} wants TLS and no TLS", hint=hint)
    return "off"


def _fingerprint(options: Mapping[str, str], host: str) -> str | None:
    text = options.get("fingerprint")
    if text is None:
        return None
    plain = re.sub(r"^sha256[:=]|[:\s]", "", text, flags=re.IGNORECASE).lower()
    if not re.fullmatch(r"[0-9a-f]{64}", plain):
        raise BadUrl(
            f"the URL for {host} has a fingerprint that is not a SHA-256",
            hint="64 hexadecimal digits, as `openssl x509 -noout -fingerprint -sha256` prints them",
        )
    return plain


def _master(options: Mapping[str, str], host: str) -> str | None:
    form = options.get("master")
    if form is not None and "as" not in options:
        raise BadUrl(f"the URL for {host} has master= but not as=", hint="write ?as=alice&master=* to act for alice")
    return form


def parse_sieve_url(url: str, like: Endpoint) -> Endpoint:
    """Return where a `sieve://host[:4190]` URL leads, with an account's login. Raises BadUrl.

    TLS by STARTTLS unless `tls=off`; `ca` and, on the same host, `fingerprint` are the account's where not given.
    """
    scheme, separator, rest = url.partition("://")
    place, _, query = rest.partition("?")
    place = place.rstrip("/")
    if scheme.lower() != "sieve" or not separator or "@" in place or "/" in place:
        raise BadUrl("not a ManageSieve URL", hint="write sieve://host[:4190]; the login is that of the account")
    host, port = _location(place, 4190)
    options = _options(query, host)
    if extra := options.keys() - {"tls", "ca", "fingerprint"}:
        raise BadUrl(f"the URL for {host} says {min(extra)}=", hint="the login is that of the account")
    pin = _fingerprint(options, host) or (like.fingerprint if host == like.host else None)
    tls = _tls("imap", options, host)
    return replace(like, host=host, port=port, tls=tls, ca=options.get("ca", like.ca), fingerprint=pin)
