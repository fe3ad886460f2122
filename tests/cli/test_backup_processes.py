"""`restante backup` by several processes: they end with the one that started them, and one that dies is told."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.cli.test_processes import helpers_of, soon
from tests.corpus import plain_mail
from tests.proxy import cutting_proxy
from tests.secret import new_secret
from tests.servers import DovecotServer, deliver


@pytest.fixture
def office(command: Command, dovecot: DovecotServer) -> list[str]:
    """Four accounts of one server, and a vault that two processes fill."""
    names = sorted(dovecot.new_user().name for _ in range(4))
    for number, name in enumerate(names):
        deliver(dovecot, name, "INBOX", [plain_mail(1_000 * number + n) for n in range(300)])
    (command.cwd / "passphrase").write_text(new_secret())
    (command.cwd / "master").write_text(dovecot.master.password)
    configure(command, dovecot, names, dovecot.port)
    command.well("init")
    return names


def configure(command: Command, dovecot: DovecotServer, names: list[str], port: int) -> None:
    server = {
        "name": "mail",
        "url": f"imap://{dovecot.master.name}@127.0.0.1:{port}?tls=off&master=*",
        "password_command": f"cat {command.cwd}/master",
        "users": names,
    }
    config = {
        "vault": {"url": f"file://{command.cwd}/vault", "passphrase_file": "passphrase", "cache": "cache"},
        "servers": [server],
        "limits": {"processes": 2},
    }
    (command.cwd / "restante.yaml").write_text(json.dumps(config))


def test_a_process_that_dies_is_one_clear_line_and_the_next_run_completes_the_backup(
    command: Command, dovecot: DovecotServer, office: list[str]
) -> None:
    with cutting_proxy(dovecot.port, [2_000] * 20, stall=True) as proxy:
        configure(command, dovecot, office, proxy.port)
        process = command.process("backup", "--json")
        assert proxy.stalled.wait(30)
        for helper in soon(lambda: found if len(found := helpers_of(process)) == 2 else None)[:1]:
            os.kill(helper, signal.SIGKILL)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert err.decode().splitlines()[0] == "error: a process that read accounts ended by itself"
    assert b"Traceback" not in err
    configure(command, dovecot, office, dovecot.port)
    document = command.well("backup", "--json").document
    assert [account["messages"] for account in document["accounts"]] == [300] * 4
    command.well("check", "--read")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_with_the_one_that_started_them(
    command: Command, dovecot: DovecotServer, office: list[str], how: signal.Signals
) -> None:
    with cutting_proxy(dovecot.port, [2_000] * 20, stall=True) as proxy:
        configure(command, dovecot, office, proxy.port)
        process = command.process("backup", "--json")
        assert proxy.stalled.wait(30)
        helpers = soon(lambda: found if len(found := helpers_of(process)) == 2 else None)
        for one in [process.pid, *(helpers if how is signal.SIGTERM else [])]:  # as a supervisor may, who means us all
            os.kill(one, how)
        out, err = process.communicate(timeout=60)
        soon(lambda: not any(Path(f"/proc/{helper}/cmdline").exists() for helper in helpers))
    assert b"Traceback" not in err
    if how is signal.SIGTERM:
        assert (process.returncode, json.loads(out)["status"]) == (130, "interrupted"), err
    configure(command, dovecot, office, dovecot.port)
    assert command.well("backup", "--json").document["status"] == "complete"
