"""The rights that `docs/permissions.md` gives each host are enough for what it does, and none is there for nothing."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.corpus import base64_lines, mail_with, octets, plain_mail
from tests.secret import new_secret
from tests.servers import DovecotServer, MiniStack, RcloneS3, deliver
from tests.servers.rights import gate

PAGE = (Path(__file__).parents[2] / "docs/permissions.md").read_text()
HOSTS = {"backup host": 3, "maintenance host": 4, "restorer": 5}
LOCK = "  object_lock: {mode: governance, days: 30}\n"


def rights(heading: str, host: str) -> set[str]:
    """Return what a table of the page grants a host."""
    table = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    granted: set[str] = set()
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > HOSTS[host] and cells[HOSTS[host]] == "yes":
            granted |= set(re.findall(r"`(s3:\w+)`", cells[1]))
    return granted


def test_the_tables_are_read() -> None:
    assert rights("Without Object Lock", "restorer") == {"s3:ListBucket", "s3:GetObject"}
    assert "s3:DeleteObjectVersion" in rights("With Object Lock (`vault.object_lock`)", "maintenance host")


class Firm:
    """A mail account, a vault behind a gate, and who does what there."""

    def __init__(self, command: Command, dovecot: DovecotServer, url: str, lock: str) -> None:
        user = dovecot.new_user()
        attachment = base64_lines(octets(60_000))
        deliver(dovecot, user.name, "INBOX", [plain_mail(1), mail_with(attachment)])
        self.command, self.url, self.lock = command, url, lock
        self.source = dovecot.url(user.name)
        self.command.env.update({"RESTANTE_PASSPHRASE": new_secret(), "ANNA": user.password})
        self.at(None)
        self.command.well("init")
        self.command.well("backup")

    def at(self, port: int | None) -> None:
        """Write the configuration, the store behind a port or at its own."""
        url = self.url if port is None else re.sub(r"127\.0\.0\.1(:|%3A)\d+", rf"127.0.0.1\g<1>{port}", self.url)
        text = f"vault:\n  url: '{url}'\n  cache: cache-{secrets.token_hex(4)}\n{self.lock}"
        text += f"accounts:\n  - {{name: anna, url: '{self.source}', password_env: ANNA}}\n"
        text += "jobs:\n  - {name: hourly, retention: {last: 1}}\n"
        (self.command.cwd / "restante.yaml").write_text(text)

    def does(self, host: str) -> Sequence[tuple[str, ...]]:
        """Return what a host does all day."""
        out = self.command.cwd / f"out-{secrets.token_hex(4)}"
        work: dict[str, Sequence[tuple[str, ...]]] = {
            "backup host": [("backup",), ("status",)],
            "maintenance host": [("prune",), ("prune",)],
            "restorer": [("restore", "anna", "--to", f"maildir:{out}"), ("check", "--read"), ("ls", "anna")],
        }
        return work[host]


def prove(firm: Firm, port: int, heading: str, host: str, *, unneeded: set[str], tried: set[str]) -> None:
    """Do a host's work with its rights alone; then see that each of them was of use."""
    allowed = rights(heading, host)
    with gate(port, allowed) as before:
        firm.at(before.port)
        for arguments in firm.does(host):
            outcome = firm.command(*arguments)
            assert outcome.code == 0, (arguments, outcome, before.refused)
    assert before.refused <= tried
    assert allowed - before.asked <= unneeded


@pytest.fixture
def bare(command: Command, tmp_path: Path) -> Command:
    """A command without a vault, credentials to come."""
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    return Command(tmp_path, env)


@pytest.mark.parametrize("host", HOSTS)
def test_each_host_does_its_work_in_a_bucket_with_object_lock(
    host: str, bare: Command, dovecot: DovecotServer, locking: MiniStack
) -> None:
    bare.env.update(locking.environment)
    firm = Firm(bare, dovecot, locking.new_bucket(f"b{secrets.token_hex(6)}"), LOCK)
    # A probe is tried to be deleted by whoever writes; a missing object answers 404 only to who may list.
    unneeded = {"s3:ListBucket", "s3:GetObject", "s3:DeleteObjectVersion"}
    tried = {"s3:DeleteObjectVersion"} if host == "backup host" else set[str]()
    prove(firm, locking.port, "With Object Lock (`vault.object_lock`)", host, unneeded=unneeded, tried=tried)


@pytest.mark.parametrize("host", HOSTS)
def test_each_host_does_its_work_in_a_plain_bucket(
    host: str, bare: Command, dovecot: DovecotServer, s3: RcloneS3
) -> None:
    bare.env.update(s3.environment)
    name = f"b{secrets.token_hex(6)}"
    s3.new_bucket(name)
    url = f"s3://{name}/mail?endpoint_url={s3.endpoint}&region=us-east-1"
    unneeded = {"s3:DeleteObject"}  # nothing is old enough yet
    prove(Firm(bare, dovecot, url, ""), s3.port, "Without Object Lock", host, unneeded=unneeded, tried=set())


def test_a_host_that_may_write_but_not_delete_can_t_prune(bare: Command, dovecot: DovecotServer, s3: RcloneS3) -> None:
    bare.env.update(s3.environment)
    name = f"b{secrets.token_hex(6)}"
    s3.new_bucket(name)
    firm = Firm(bare, dovecot, f"s3://{name}/mail?endpoint_url={s3.endpoint}&region=us-east-1", "")
    with gate(s3.port, rights("Without Object Lock", "restorer")) as before:
        firm.at(before.port)
        refused = firm.command("backup")
    assert refused.code == 3
    assert "s3:PutObject" in before.refused
