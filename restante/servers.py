"""Whole servers: from a `servers:` entry of the configuration to an account for each of its users."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import NamedTuple

from imap.model import Login
from restante.config import Account, Server
from restante.endpoints import acting_for
from restante.errors import UsageTrouble
from restante.loading import Loaded
from restante.secrets import login_of, output_of, url_login

USER = "{user}"


class ServerAccount(NamedTuple):
    """One user of a server: the account it makes, how it logs in, and whose user it is."""

    account: Account
    login: Login
    server: Server


def server_accounts(loaded: Loaded) -> list[ServerAccount]:
    """Return an account for each user of each server; one that stands under `accounts:` too is left to that.

    Raises UsageTrouble where users can't be listed, or two servers give accounts of one name.
    """
    own = {account.name for account in loaded.config.accounts}
    found: dict[str, ServerAccount] = {}
    for server in loaded.config.servers:
        for one in _accounts_of(loaded, server):
            other = found.setdefault(one.account.name, one)
            if other is not one:
                hint = f"set `account` of one of them, e.g. account: '{USER}@{server.name}'"
                raise UsageTrouble(
                    f"servers {other.server.name} and {server.name} both have an account {one.account.name}", hint=hint
                )
    return [one for name, one in found.items() if name not in own]


def _accounts_of(loaded: Loaded, server: Server) -> Iterator[ServerAccount]:
    password = _password(loaded, server)
    for user in chosen_users(listed_users(loaded, server), server):
        account = Account(
            name=server.account.replace(USER, user), url=acting_for(server.url, user), exclude=server.exclude,
            only=server.only, namespaces=server.namespaces, sieve=server.sieve, bytes_per_day=server.bytes_per_day,
            rpo=server.rpo,
            retention=server.retention,
        )  # fmt: skip
        login = password or login_of(loaded, server, server.name, user)
        assert login is not None, "what has no password has a token"
        yield ServerAccount(account, login, server)


def _password(loaded: Loaded, server: Server) -> Login | None:
    """Return one login for all users, its secret read once a run, when the first of them needs it."""
    if server.oauth2 is not None:
        return None
    login = login_of(loaded, server, server.name, "") or url_login("SOURCE", server.name)
    return Login(cache(login.secret))


def listed_users(loaded: Loaded, server: Server) -> list[str]:
    """Return the users that a server's list, file or command names, each once. Raises UsageTrouble."""
    if server.users_command is not None:
        lines = output_of(server.users_command, f"users of {server.name}")
        if any("\udc80" <= letter <= "\udcff" for letter in lines):
            raise UsageTrouble(f"the users of {server.name} are not text in UTF-8", hint="one user a line, in UTF-8")
    elif server.users_file is not None:
        try:
            lines = loaded.path(server.users_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            hint = "one user a line, in UTF-8"
            raise UsageTrouble(f"cannot read the users of {server.name}: {error}", hint=hint) from None
    else:
        lines = "\n".join(server.users)
    users = [line.strip() for line in lines.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not users:
        # An empty answer is far more often a directory that is down than a server without users.
        hint = "run what lists them by hand; no user is taken to be gone because of this"
        raise UsageTrouble(f"nothing names a user of {server.name}", hint=hint)
    return list(dict.fromkeys(users))


def chosen_users(users: list[str], server: Server) -> list[str]:
    """Return the users that the server's globs choose."""
    return [
        user
        for user in users
        if any(fnmatchcase(user, glob) for glob in server.only_users)
        and not any(fnmatchcase(user, glob) for glob in server.exclude_users)
    ]
