"""The command with a vault that holds one account of a test server, ready to restore it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.command import Command
from tests.secret import keep_secret, new_secret
from tests.servers import ImapServer, User


def with_vault(command: Command, vault: Path) -> Command:
    """Make a vault in a directory and return the command that uses it."""
    ready = command.with_(RESTANTE_VAULT=f"file://{vault}", RESTANTE_PASSPHRASE=new_secret())
    keep_secret(json.loads(ready.process("init", "--json").communicate()[0])["recovery_key"])
    return ready


def backed_up(command: Command, server: ImapServer, user: str) -> Command:
    """Back one account up into the command's vault."""
    command.with_(RESTANTE_SOURCE_PASSWORD=server.password(user)).well("backup", server.url(user))
    return command


def restoring(command: Command, target: User) -> Command:
    """Return the command with a target's password."""
    return command.with_(RESTANTE_TARGET_PASSWORD=target.password)
