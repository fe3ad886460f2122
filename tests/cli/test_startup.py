"""What a command does not need it does not import: cron runs `backup` every few minutes, mostly to find nothing new."""

from __future__ import annotations

import json
import re

from tests.cli.command import Command
from tests.cli.test_whole_way import fill
from tests.secret import new_secret
from tests.servers import DovecotServer

NOT_FOR_A_BACKUP = {"boto3", "botocore", "apscheduler", "rich", "structlog", "apprise", "msal", "google", "restore"}


def imported(told: str) -> set[str]:
    """The top-level packages in what `-X importtime` told."""
    return {name.partition(".")[0] for name in re.findall(r"^import time:.*\| +(\S+)$", told, re.MULTILINE)}


def test_a_backup_into_a_directory_imports_nothing_that_it_does_not_need(
    command: Command, dovecot: DovecotServer
) -> None:
    user = dovecot.new_user("early@example.test")
    fill(dovecot, user, range(1, 3))
    vault = f"file://{command.cwd / 'vault'}"
    ready = command.with_(
        RESTANTE_VAULT=vault, RESTANTE_PASSPHRASE=new_secret(), RESTANTE_SOURCE_PASSWORD=user.password
    )
    # Its output is the recovery key, which a result shows this once.
    assert json.loads(ready.process("init", "--json").communicate()[0])
    backed_up = ready.well("backup", dovecot.url(user.name), "--json", PYTHONPROFILEIMPORTTIME="1")
    assert backed_up.document["accounts"][0]["new_messages"] == 2
    found = imported(backed_up.err)
    assert {"restante", "backup", "vault", "imap"} <= found
    assert not found & NOT_FOR_A_BACKUP


def test_only_what_the_command_at_hand_needs_is_imported(command: Command) -> None:
    told = command.well("config", "example", PYTHONPROFILEIMPORTTIME="1").err
    assert "pydantic" in imported(told)
    assert not imported(told) & {"backup", "restore", "imapclient", "cryptography", "rich"}


def test_a_word_that_is_no_command_is_told_beside_all_that_are(command: Command) -> None:
    known = command.well("--help").out
    assert "backup" in known
    assert "snapshots" in known
    outcome = command("bakcup")
    assert outcome.code == 2
    assert "no such command" in outcome.err
