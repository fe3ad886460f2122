"""Restoring in tests: one call, and what a server or directory holds afterwards, in any order."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

from imap.model import Endpoint, Login
from imap.url import parse_url
from restore import Filters, Mapping, RestoreReport, execute_restore, make_plan, open_target
from restore.targets.base import Target
from restore.targets.imap import ImapTarget
from tests.backup.site import Site, served
from tests.servers import ImapServer
from vault.clock import Progress, Quiet
from vault.model import Snapshot
from vault.vault import Vault

Held = dict[str, Counter[tuple[bytes, tuple[str, ...], str]]]


def restore(
    site: Site,
    snapshot: Snapshot,
    target: Target,
    *,
    filters: Filters | None = None,
    mapping: Mapping | None = None,
    verify: bool = False,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    vault: Vault | None = None,
) -> RestoreReport:
    """Restore as the command line would, on an empty machine unless a `vault` that is open already is given."""
    vault = vault or site.open()
    plan = make_plan(vault, snapshot, target, filters or Filters(), mapping or Mapping())
    return execute_restore(
        vault, plan, target, verify=verify, progress=progress or Quiet(), stop=stop or threading.Event()
    )


def to_server(server: ImapServer, user: str, *, port: int | None = None) -> Target:
    """Return an account of a server as target."""
    endpoint = parse_url(server.url(user))
    if port is not None:
        endpoint = Endpoint(endpoint.host, port, endpoint.user, "off")
    return ImapTarget(endpoint, Login(lambda: server.password(user)), patience=30, timeout=20)


def to_files(url: str) -> Target:
    """Return a target in the file system."""

    def never(_: Endpoint) -> Login:
        raise AssertionError("no login is needed")

    return open_target(url, never, Path("/nonexistent"))


def held(server: ImapServer, user: str) -> Held:
    """Return what a server holds, UIDs and order aside."""
    return {
        name: Counter((seen.octets, seen.flags, seen.internaldate) for seen in mails)
        for name, mails in served(server, user).items()
    }
