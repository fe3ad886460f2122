"""Mail servers as the user names them, with a loud word where a password would travel in plain text."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import quote

from imap.model import Endpoint
from imap.url import parse_delivery_url, parse_sieve_url, parse_url
from restante.output import say


def endpoint_of(url: str) -> Endpoint:
    """Return what a URL names; warns of plain text to any host but this one. Raises BadUrl."""
    return _warned(parse_url(url))


def delivery_of(url: str) -> Endpoint:
    """Return where an `lmtp://` or `smtp://` URL delivers; warns likewise. Raises BadUrl."""
    return _warned(parse_delivery_url(url))


def sieve_of(url: str, like: Endpoint) -> Endpoint:
    """Return where an account's Sieve scripts are; warns likewise. Raises BadUrl."""
    return _warned(parse_sieve_url(url, like))


def _warned(endpoint: Endpoint) -> Endpoint:
    if endpoint.tls == "off" and not _is_loopback(endpoint.host):
        say(f"warning: {endpoint.host} is spoken to in plain text: whoever is on the way reads password and mail")
    return endpoint


PLACE = "{account}"


def acting_for(url: str, account: str) -> str:
    """Return the IMAP URL for one of many accounts: its own user, or whoever logs in acting for it."""
    if PLACE in url:
        return url.replace(PLACE, quote(account, safe="@"))
    return f"{url}{'&' if '?' in url else '?'}as={quote(account, safe='@')}"


def names_one_account(url: str) -> bool:
    """Say whether an IMAP URL tells already for whom it acts."""
    return any(option.startswith("as=") for option in url.partition("?")[2].split("&"))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
