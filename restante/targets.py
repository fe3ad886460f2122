"""Where a restore goes: from `--to URL` to one address for each account."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from imap.model import Login
from imap.url import parse_url
from restante.errors import UsageTrouble
from restante.secrets import url_login

FILES = ("maildir", "mbox", "eml")
PLACE = "{account}"


class Address(NamedTuple):
    """A target's URL, and how to log in there where that is needed."""

    url: str
    login: Login | None


def is_imap(url: str) -> bool:
    """Say whether a URL names an IMAP server."""
    return url.startswith(("imap://", "imaps://"))


def check_target(url: str) -> None:
    """Refuse what is no target at all. Raises UsageTrouble, BadUrl."""
    scheme, colon, rest = url.partition(":")
    if is_imap(url):
        parse_url(url.replace(PLACE, "account"))
    elif scheme not in FILES or not colon or not rest:
        hint = "write imaps://user@host, imap://user@host, maildir:DIR, mbox:DIR or eml:DIR"
        raise UsageTrouble(f"{url} is not a target", hint=hint)


def one_address(url: str) -> Address:
    """Return the address for a restore of one account; asks for the password where one is needed."""
    return Address(url, url_login("TARGET", parse_url(url).account) if is_imap(url) else None)


def address_of(url: str, account: str, login: Login | None) -> str:
    """Return the URL for one of many accounts: its own folder, its own user, or a master user acting for it."""
    if not is_imap(url):
        return url.replace(PLACE, account) if PLACE in url else f"{url.rstrip('/')}/{account.replace('/', '_')}"
    if PLACE in url:
        return url.replace(PLACE, quote(account, safe="@"))
    if login is not None and parse_url(url).acting_as:
        raise UsageTrouble("--all and as= name different accounts", hint="leave as= out: each account is acted for")
    return f"{url}{'&' if '?' in url else '?'}as={quote(account, safe='@')}"
