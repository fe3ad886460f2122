"""Mail servers as the user names them, with a loud word where a password would travel in plain text."""

from __future__ import annotations

from ipaddress import ip_address

from imap.model import Endpoint
from imap.url import parse_url
from restante.output import say


def endpoint_of(url: str) -> Endpoint:
    """Return what a URL names; warns of plain text to any host but this one. Raises BadUrl."""
    endpoint = parse_url(url)
    if endpoint.tls == "off" and not _is_loopback(endpoint.host):
        say(f"warning: {endpoint.host} is spoken to in plain text: whoever is on the way reads password and mail")
    return endpoint


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
