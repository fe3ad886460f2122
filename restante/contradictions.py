"""What no single setting of a configuration shows: two of a name, too many secrets, globs that match nothing.

Works on the parsed YAML, not on the model, so that these come out together with the faults of single settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

Loc = tuple[str | int, ...]

VAULT_SECRETS = ("passphrase_env", "passphrase_file", "passphrase_command", "key_file")
ACCOUNT_SECRETS = ("password_env", "password_file", "password_command", "oauth2")
ONLY_WITH = {"sample": ("check", "drill"), "rpo": ("backup",), "to": ("drill",)}
TIMES = ("every", "cron")
PINGS = ("ping_env", "ping_file", "ping_command")
USERS = ("users", "users_file", "users_command")
TOKENS = ("token_env", "token_file", "token_command", "microsoft", "google")
PASSWORDS = ("password_env", "password_file", "password_command")
URLS = ("url_env", "url_file", "url_command")
CLIENT_SECRETS = ("client_secret_env", "client_secret_file", "client_secret_command")


class Contradiction(NamedTuple):
    """Settings that can't both be meant."""

    path: Loc
    message: str
    hint: str


def contradictions(raw: Any) -> Iterator[Contradiction]:
    """Yield every contradiction in a parsed configuration, whatever its shape."""
    if not isinstance(raw, dict):
        return
    accounts, jobs, servers = _items(raw, "accounts"), _items(raw, "jobs"), _items(raw, "servers")
    yield from _too_many(raw.get("vault"), ("vault",), VAULT_SECRETS)
    yield from _twice(accounts, "accounts")
    yield from _twice(jobs, "jobs")
    yield from _twice(servers, "servers")
    yield from _replicas(_items(raw, "replicas"), jobs)
    yield from _notify(raw.get("notify"))
    for section, holders in (("accounts", accounts), ("servers", servers)):
        for number, holder in enumerate(holders):
            yield from _secrets(holder, (section, number))
    for number, server in enumerate(servers):
        yield from _users(server, ("servers", number))
    for number, job in enumerate(jobs):
        yield from _when(job.get("schedule"), ("jobs", number, "schedule"))
        yield from _misplaced(job, ("jobs", number))
        yield from _too_many(job, ("jobs", number), PINGS)
    if not servers:
        yield from _idle_globs(jobs, [account.get("name") for account in accounts])


def _secrets(holder: dict[str, Any], path: Loc) -> Iterator[Contradiction]:
    yield from _too_many(holder, path, ACCOUNT_SECRETS)
    yield from _too_many(holder.get("oauth2"), (*path, "oauth2"), TOKENS)
    yield from _no_token(holder.get("oauth2"), (*path, "oauth2"))
    microsoft = holder["oauth2"].get("microsoft") if isinstance(holder.get("oauth2"), dict) else None
    if isinstance(microsoft, dict):
        where = (*path, "oauth2", "microsoft")
        yield from _too_many(microsoft, where, CLIENT_SECRETS)
        if not any(microsoft.get(name) is not None for name in CLIENT_SECRETS):
            told = "it does not say where the client secret comes from"
            yield Contradiction(where, told, f"set one of {', '.join(CLIENT_SECRETS)}")


def _replicas(replicas: list[dict[str, Any]], jobs: list[dict[str, Any]]) -> Iterator[Contradiction]:
    yield from _twice(replicas, "replicas")
    for number, replica in enumerate(replicas):
        where = ("replicas", number)
        yield from _too_many(replica, where, ("profile", "access_key_env"))
        if (replica.get("access_key_env") is None) != (replica.get("secret_key_env") is None):
            told = "access_key_env and secret_key_env go together"
            yield Contradiction(where, told, "set both, or neither")
    for number, job in enumerate(jobs):
        if job.get("does") == "copy" and not replicas:
            yield Contradiction(("jobs", number, "does"), "there is no replica to copy to", "name one under `replicas`")


def _notify(section: Any) -> Iterator[Contradiction]:
    if not isinstance(section, dict):
        return
    ways, email = _items(section, "apprise"), section.get("email")
    if not ways and email is None:
        yield Contradiction(("notify",), "it does not say by which way", "set email, apprise, or both")
    yield from _email(email if isinstance(email, dict) else {}, ("notify", "email"))
    yield from _twice(ways, "apprise", "notify")
    for number, way in enumerate(ways):
        where: Loc = ("notify", "apprise", number)
        yield from _too_many(way, where, URLS)
        if not any(way.get(name) is not None for name in URLS):
            yield Contradiction(where, "it does not say where its URL stands", f"set one of {', '.join(URLS)}")
        if way.get("name") == "email":
            yield Contradiction((*where, "name"), "email is a way of its own", "give it another name")


def _email(email: dict[str, Any], path: Loc) -> Iterator[Contradiction]:
    yield from _too_many(email, path, PASSWORDS)
    password = any(email.get(name) is not None for name in PASSWORDS)
    if password != (email.get("user") is not None):
        yield Contradiction(path, "user and password go together", f"set user and one of {', '.join(PASSWORDS)}")
    for name in ("tls", "ca"):
        if email.get("insecure") is True and email.get(name) is not None:
            yield Contradiction((*path, name), f"{name} means nothing to plain text", "take insecure out")


def _users(server: dict[str, Any], path: Loc) -> Iterator[Contradiction]:
    yield from _too_many(server, path, USERS)
    if not any(server.get(name) for name in USERS):
        yield Contradiction(path, "it does not say who its users are", f"set one of {', '.join(USERS)}")
    account = server.get("account")
    if isinstance(account, str) and "{user}" not in account:
        told = "all its users would be one account"
        yield Contradiction((*path, "account"), told, "write {user} where the user's name belongs")


def _items(raw: dict[str, Any], section: str) -> list[dict[str, Any]]:
    found = raw.get(section)
    return [item if isinstance(item, dict) else {} for item in found] if isinstance(found, list) else []


def _twice(items: list[dict[str, Any]], section: str, *above: str) -> Iterator[Contradiction]:
    seen: set[str] = set()
    for number, item in enumerate(items):
        name = item.get("name")
        if isinstance(name, str) and name in seen:
            where: Loc = (*above, section, number, "name")
            yield Contradiction(where, f"two {section} are called {name}", "give each a name of its own")
        if isinstance(name, str):
            seen.add(name)


def _too_many(section: Any, path: Loc, names: tuple[str, ...]) -> Iterator[Contradiction]:
    given = [name for name in names if section.get(name) is not None] if isinstance(section, dict) else []
    if len(given) > 1:
        yield Contradiction((*path, given[1]), f"{' and '.join(given)} are both set", f"keep one of {', '.join(names)}")


def _no_token(section: Any, path: Loc) -> Iterator[Contradiction]:
    if isinstance(section, dict) and not any(section.get(name) is not None for name in TOKENS):
        yield Contradiction(path, "it does not say where the token comes from", f"set one of {', '.join(TOKENS)}")


def _when(schedule: Any, path: Loc) -> Iterator[Contradiction]:
    given = [name for name in TIMES if schedule.get(name) is not None] if isinstance(schedule, dict) else [""]
    if len(given) > 1:
        yield Contradiction((*path, given[1]), "every and cron are both set", "keep one of the two")
    if not given:
        yield Contradiction(path, "it does not say when", "set every (e.g. `every: 1h`) or cron")


def _misplaced(job: dict[str, Any], path: Loc) -> Iterator[Contradiction]:
    does = job.get("does", "backup")
    for name, kinds in ONLY_WITH.items():
        if job.get(name) is not None and isinstance(does, str) and does not in kinds:
            hint = f"take it out, or set `does` to {' or '.join(kinds)}"
            yield Contradiction((*path, name), f"{name} means nothing to a job that does {does}", hint)


def _idle_globs(jobs: list[dict[str, Any]], names: list[Any]) -> Iterator[Contradiction]:
    known = [name for name in names if isinstance(name, str)]
    for number, job in enumerate(jobs):
        globs = job.get("accounts", ["*"] if job.get("does", "backup") == "backup" else [])
        for place, glob in enumerate(globs if isinstance(globs, list) else []):
            if isinstance(glob, str) and not any(fnmatchcase(name, glob) for name in known):
                where = ("jobs", number, "accounts", place)
                yield Contradiction(where, f"{glob} matches no account", "compare it with the names under `accounts`")
