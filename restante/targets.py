"""Where a restore goes: from `--to URL` to one address for each account."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from imap.model import Endpoint, Login
from imap.url import parse_delivery_url, parse_sieve_url, parse_url
from restante.endpoints import PLACE, acting_for, delivery_of, endpoint_of, names_one_account, sieve_of
from restante.errors import UsageTrouble
from restante.secrets import url_login
from restore import ScriptTarget, Target, open_target
from restore.targets import DELIVERY
from restore.targets.files import folder_name
from restore.targets.imap import ImapTarget

FILES = ("maildir", "mbox", "eml")


class Address(NamedTuple):
    """A target's URL, and how to log in there where that is needed."""

    url: str
    login: Login | None


def is_imap(url: str) -> bool:
    """Say whether a URL names an IMAP server."""
    return url.startswith(("imap://", "imaps://"))


def is_delivery(url: str) -> bool:
    """Say whether a URL names a server that takes mail for delivery."""
    return url.partition("://")[0] in DELIVERY


def check_target(url: str, *, many: bool, verify: bool, receipts: bool) -> None:
    """Refuse what is no target at all, for one account or for many. Raises UsageTrouble, BadUrl."""
    if verify and is_delivery(url):
        hint = "leave it out; a restore over IMAP compares what it wrote"
        raise UsageTrouble("--verify has nothing to read back where mail is delivered", hint=hint)
    if not receipts and not is_imap(url):
        raise UsageTrouble("--no-receipts marks mail by a flag, which needs IMAP", hint="leave it out")
    scheme, colon, rest = url.partition(":")
    if is_imap(url):
        parse_url(address_of(url, "account") if many else url)
    elif is_delivery(url):
        parse_delivery_url(address_of(url, "account") if many else _with_recipient(url, "account"))
    elif scheme not in FILES or not colon or not rest:
        hint = "write imaps://user@host, imap://user@host, maildir:DIR, mbox:DIR, eml:DIR, lmtp://host or smtp://host"
        raise UsageTrouble(f"{url} is not a target", hint=hint)


def one_address(url: str, account: str) -> Address:
    """Return the address for a restore of one account; asks for the password where one is needed."""
    if is_delivery(url):
        url = _with_recipient(url, account)
        endpoint = delivery_of(url)
        return Address(url, url_login("TARGET", endpoint.user) if endpoint.acting_as else None)
    return Address(url, url_login("TARGET", endpoint_of(url).user) if is_imap(url) else None)


def many_addresses(url: str, accounts: Sequence[str]) -> list[Address]:
    """Return the address of each of many accounts; asks once for the password where one is needed."""
    login = None
    if is_imap(url):
        login = url_login("TARGET", endpoint_of(address_of(url, "each account")).user)
    elif is_delivery(url) and (endpoint := delivery_of(address_of(url, "each account"))).acting_as:
        login = url_login("TARGET", endpoint.user)
    return [Address(address_of(url, account), login) for account in accounts]


def open_address(address: Address, ledgers: Path, *, receipts: bool = True) -> Target:
    """Return the target at an address; what was delivered is noted below `ledgers`. Raises RestoreTrouble, BadUrl.

    Without `receipts` all mail is marked as having had its read receipt (RFC 3503).
    """

    def login(_: Endpoint) -> Login:
        assert address.login is not None, "an IMAP address has a login"
        return address.login

    target = open_target(address.url, login, ledgers)
    if isinstance(target, ImapTarget) and not receipts:
        target.also = ("$MDNSent",)
    return target


def check_sieve(sieve: str, to: str) -> None:
    """Refuse a `--sieve URL` that names no place, or goes with a directory. Raises UsageTrouble, BadUrl."""
    parse_sieve_url(sieve, Endpoint("host", 1, "user"))
    if not is_imap(to):
        hint = "give an IMAP server as --to: scripts go where its login leads"
        raise UsageTrouble("--sieve needs a login, and a directory has none", hint=hint)


def script_target(sieve: str, address: Address, *, activate: bool) -> ScriptTarget:
    """Return where an account's Sieve scripts go: `--sieve URL` with the login of the target. Raises BadUrl."""
    assert address.login is not None, "an IMAP address has a login"
    return ScriptTarget(sieve_of(sieve, parse_url(address.url)), address.login, activate)


def address_of(url: str, account: str) -> str:
    """Return the URL for one of many accounts: its own folder, its own user, or a master user acting for it."""
    if is_delivery(url):
        return acting_for(url, account) if PLACE in url or "@" in url else _with_recipient(url, account)
    if not is_imap(url):
        folder = folder_name((account,))
        return url.replace(PLACE, folder) if PLACE in url else f"{url.rstrip('/')}/{folder}"
    if PLACE not in url and names_one_account(url):
        raise UsageTrouble("--all and as= name different accounts", hint="leave as= out: each account is acted for")
    return acting_for(url, account)


def _with_recipient(url: str, account: str) -> str:
    """Return the URL with the account as the one that mail is delivered to, where it names nobody."""
    scheme, _, rest = url.partition("://")
    return url if "@" in rest.partition("?")[0] else f"{scheme}://{quote(account, safe='@')}@{rest}"
