"""`restore --all` by several processes: the same comes back, once, whatever becomes of one of them."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from restante.processes import processes_for, shares
from restante.targets import Address
from tests.cli.command import Command
from tests.corpus import base64_lines, mail_with, octets, plain_mail
from tests.proxy import cutting_proxy
from tests.secret import new_secret
from tests.servers import DovecotServer, RcloneS3, deliver
from vault.ids import AccountId, BlobId, SnapshotId
from vault.model import Snapshot

SENT_TO_ALL = mail_with(base64_lines(octets(200_000)), number=1)


@dataclass
class Office:
    """Three accounts of one server in a vault, and the configuration that names them."""

    command: Command
    vault: str
    server: DovecotServer
    names: list[str]
    limits: dict[str, int] = field(default_factory=lambda: {"processes": 2})

    def configure(self) -> None:
        folder = self.command.cwd
        (folder / "master").write_text(self.server.master.password)
        config = {
            "vault": {"url": self.vault, "passphrase_file": "passphrase", "cache": "cache"},
            "servers": [
                {
                    "name": "mail",
                    "url": f"imap://{self.server.master.name}@127.0.0.1:{self.server.port}?tls=off&master=*",
                    "password_file": "master",
                    "users": self.names,
                }
            ],
            "limits": self.limits,
        }
        (folder / "restante.yaml").write_text(json.dumps(config))

    def restore_to(self, folder: str) -> dict[Path, bytes]:
        """Restore all to a directory; return what lies there."""
        document = self.command.well("restore", "--all", "--to", f"maildir:{folder}", "--json").document
        assert [account["account"] for account in document["accounts"]] == sorted(self.names)
        root = self.command.cwd / folder
        return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(params=["directory", "s3"])
def office(request: pytest.FixtureRequest, command: Command, dovecot: DovecotServer) -> Office:
    names = sorted(dovecot.new_user().name for _ in range(3))
    for number, name in enumerate(names):
        deliver(dovecot, name, "INBOX", [*map(plain_mail, range(5 * number + 3)), SENT_TO_ALL])
    vault = f"file://{command.cwd}/vault"
    if request.param == "s3":
        s3: RcloneS3 = request.getfixturevalue("s3")
        command, vault = command.with_(**s3.environment), s3.vault_url(f"processes-{secrets.token_hex(6)}")
    (command.cwd / "passphrase").write_text(new_secret())
    made = Office(command, vault, dovecot, names)
    made.configure()
    command.well("init")
    command.well("backup")
    return made


def test_two_processes_bring_back_what_one_does(office: Office) -> None:
    by_two = office.restore_to("two")
    office.limits["processes"] = 1
    office.configure()
    assert by_two == office.restore_to("one")
    assert sum(path.match("cur/*") for path in by_two) == 3 + 8 + 13 + 3


def helpers_of(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes that restore for this one."""
    children = Path(f"/proc/{process.pid}/task").glob("*/children")
    found = [int(child) for file in children for child in file.read_text().split()]
    return [child for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def soon(found: Callable[[], Any]) -> Any:
    """Wait until there is something."""
    for _ in range(600):
        if result := found():
            return result
        time.sleep(0.05)
    raise AssertionError("it never came")


def test_a_process_that_dies_has_its_accounts_told_and_the_next_run_restores_the_rest_once(
    office: Office, second_dovecot: DovecotServer
) -> None:
    for name in office.names:
        second_dovecot.new_user(name)
    master = second_dovecot.master
    url = f"imap://{master.name}@127.0.0.1:{{}}?tls=off&master=*"
    command = office.command.with_(RESTANTE_TARGET_PASSWORD=master.password)
    with cutting_proxy(second_dovecot.port, [400] * 8, stall=True) as proxy:
        process = command.process("restore", "--all", "--to", url.format(proxy.port), "--json")
        assert proxy.stalled.wait(30)
        for helper in soon(lambda: helpers if len(helpers := helpers_of(process)) == 2 else None):
            os.kill(helper, signal.SIGKILL)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    for account in json.loads(out)["accounts"]:
        assert "ended by itself (exit code -9)" in account["failures"][0]["reason"]
    assert b"Traceback" not in err
    again = command.well("restore", "--all", "--to", url.format(second_dovecot.port), "--json", "--verify")
    assert again.document["status"] == "complete"
    for number, name in enumerate(office.names):
        maildir = second_dovecot.home(name) / "Maildir"
        assert sum(len(list((maildir / part).iterdir())) for part in ("cur", "new")) == 5 * number + 4


def test_processes_end_with_the_one_that_started_them(office: Office, second_dovecot: DovecotServer) -> None:
    for name in office.names:
        second_dovecot.new_user(name)
    master = second_dovecot.master
    with cutting_proxy(second_dovecot.port, [400] * 8, stall=True) as proxy:
        url = f"imap://{master.name}@127.0.0.1:{proxy.port}?tls=off&master=*"
        process = office.command.process("restore", "--all", "--to", url, RESTANTE_TARGET_PASSWORD=master.password)
        assert proxy.stalled.wait(30)
        helpers = soon(lambda: helpers if len(helpers := helpers_of(process)) == 2 else None)
        process.kill()
        process.communicate(timeout=30)
        soon(lambda: not any(Path(f"/proc/{helper}/cmdline").exists() for helper in helpers))


def test_a_restore_by_processes_stops_when_told_and_goes_on_later(office: Office) -> None:
    for name in office.names:
        deliver(
            office.server,
            name,
            "INBOX",
            [plain_mail(number, body=b"Good day.\r\n" * 2_000) for number in range(100, 900)],
        )
    office.command.well("backup")
    process = office.command.process("restore", "--all", "--to", "maildir:out", "--json")
    out = office.command.cwd / "out"
    soon(lambda: any(out.glob("*/cur/*")))
    process.send_signal(signal.SIGTERM)
    said, err = process.communicate(timeout=60)
    assert process.returncode == 130, (said, err)
    assert json.loads(said)["status"] == "interrupted"
    assert b"Traceback" not in err
    rest = office.restore_to("out")
    assert sum(path.match("cur/*") for path in rest) == 3 + 8 + 13 + 3 + 3 * 800


def place(name: str, octets: int) -> tuple[Snapshot, Address]:
    shot = Snapshot(
        id=SnapshotId(name), account=name, account_id=AccountId(name), time="", status="complete", tree=BlobId(b""),
        mailboxes=1, messages=1, octets=octets, sequence=1, previous="",
    )  # fmt: skip
    return shot, Address(f"maildir:{name}", None)


def test_accounts_are_shared_out_by_size() -> None:
    places = [place(name, size) for name, size in (("a", 5), ("b", 40), ("c", 20), ("d", 25), ("e", 0), ("f", 0))]
    assert sorted(sorted(shot.account for shot, _ in share) for share in shares(places, 2)) == [
        ["a", "b", "e"],
        ["c", "d", "f"],
    ]


@pytest.mark.parametrize(
    "sizes, at_once, wanted, found",
    [
        ([1, 1, 1], 4, None, 1),
        ([1 << 30] * 3, 4, 2, 2),
        ([1 << 30] * 3, 2, 9, 2),
        ([1 << 30], 4, 2, 1),
        ([1, 1], 4, 2, 2),
    ],
)
def test_there_are_no_more_processes_than_accounts_and_only_one_for_little(
    sizes: list[int], at_once: int, wanted: int | None, found: int
) -> None:
    assert processes_for([place(str(n), size) for n, size in enumerate(sizes)], at_once, wanted) == found
