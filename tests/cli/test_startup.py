"""What a command does not need it does not import: cron runs `backup` every few minutes, mostly to find nothing new."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from tests.cli.command import ROOT, Command
from tests.cli.test_whole_way import fill
from tests.secret import new_secret
from tests.servers import DovecotServer

NOT_FOR_A_BACKUP = {
    "boto3", "botocore", "apscheduler", "rich", "structlog", "apprise", "msal", "google", "pydantic", "restore",
}  # fmt: skip


MADE_SLOWLY = """
import sys
from dataclasses import is_dataclass
from restante.cli import application

application(["backup"])
import backup

for name, module in list(sys.modules.items()):
    if name.partition(".")[0] in ("restante", "backup", "vault", "imap"):
        ours = [c for c in vars(module).values() if isinstance(c, type) and c.__module__ == name]
        print(*(c.__name__ for c in ours if is_dataclass(c)))
"""

DATACLASSES = {
    # They keep what is secret, or a whole mail, out of their repr.
    "Login", "Octets", "Outgoing", "Passphrase", "RecoveryKey", "KeyFile", "ContentPrivateKey", "KeyRing",
    "Credentials", "Given",
    # They are filled in after they are made, or are changed, or their functions remember.
    "StoredBlob", "_Batch", "Tally", "Run", "Wiring", "Graveyard",
    # They are varied with `dataclasses.replace` all over the place.
    "Endpoint", "SourceAccount", "BackupOptions",
}  # fmt: skip


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
    assert "yaml" in imported(told)
    assert not imported(told) & {"backup", "restore", "imapclient", "cryptography", "pydantic", "rich"}


def test_plain_data_on_the_way_to_a_backup_is_made_of_structs_since_a_dataclass_takes_a_millisecond_to_make() -> None:
    process = subprocess.run([sys.executable, "-c", MADE_SLOWLY], capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(process.stdout.split()) - DATACLASSES == set()


def test_a_word_that_is_no_command_is_told_beside_all_that_are(command: Command) -> None:
    known = command.well("--help").out
    assert "backup" in known
    assert "snapshots" in known
    outcome = command("bakcup")
    assert outcome.code == 2
    assert "no such command" in outcome.err
