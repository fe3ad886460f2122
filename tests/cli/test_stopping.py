"""Being told to stop: a checkpoint, exit code 130, and a next run that goes on from there."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.proxy import cutting_proxy
from tests.secret import new_secret
from tests.servers import DovecotServer, User

MESSAGES = 4000


@pytest.fixture
def user(dovecot: DovecotServer) -> User:
    """An account with enough mail that a backup takes a while."""
    user = dovecot.new_user()
    folder = dovecot.home(user.name) / "Maildir"
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(MESSAGES):
        body = f"{secrets.token_urlsafe(6)}\r\n" * 500
        (folder / "new" / f"17000{number:05}.1.host").write_text(f"Subject: {number}\r\n\r\n{body}")
    dovecot.own(folder)
    return user


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_backup_that_is_told_to_stop_writes_a_checkpoint_and_the_next_run_goes_on(
    command: Command, dovecot: DovecotServer, user: User, tmp_path: Path, number: signal.Signals
) -> None:
    ready = command.with_(
        RESTANTE_VAULT=f"file://{tmp_path}/vault",
        RESTANTE_PASSPHRASE=new_secret(),
        RESTANTE_SOURCE_PASSWORD=user.password,
    )
    ready.process("init").communicate()
    with cutting_proxy(dovecot.port, [3_000_000, 3_000_000], stall=True) as proxy:
        url = dovecot.url(user.name).replace(f":{dovecot.port}", f":{proxy.port}")
        process = ready.process("backup", url, "--json")
        assert proxy.stalled.wait(30)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, (out, err)
    assert b"stopping" in err
    assert b"Traceback" not in err
    ready.well("check", "--read")
    first = ready.well("snapshots", "--json").document
    assert [shot["status"] for shot in first] == ["partial"]
    report = ready.well("backup", dovecot.url(user.name), "--json").document["accounts"][0]
    assert report["messages"] == MESSAGES
    assert report["new_messages"] == MESSAGES - first[0]["messages"]


_WAITING = """
import signal, threading
from restante.stopping import stopping
with stopping() as stop:
    threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)).start()
    waiter = threading.Thread(target=stop.wait)
    waiter.start()
    waiter.join()
    {then}
"""


@pytest.mark.parametrize(
    "then, code",
    [
        pytest.param("pass", 0, id="once"),
        pytest.param("signal.raise_signal(signal.SIGINT); threading.Event().wait()", 130, id="twice"),
    ],
)
def test_a_signal_is_heard_whichever_thread_the_kernel_gives_it_to(
    command: Command, tmp_path: Path, then: str, code: int
) -> None:
    program = _WAITING.format(then=then)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=command.env, capture_output=True, timeout=30, check=False
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.count(b"stopping") == 1


def test_other_commands_leave_with_130_at_once(command: Command, tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text(new_secret())
    ready = command.with_(RESTANTE_VAULT=f"file://{tmp_path}/vault")
    named = ready.with_(RESTANTE_PASSPHRASE_FILE="passphrase")
    named.process("init").communicate()
    config = tmp_path / "slow.yaml"
    config.write_text(f"vault:\n  url: file://{tmp_path}/vault\n  passphrase_command: sleep 30\n")
    process = ready.process("snapshots", "-c", str(config))
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert b"Traceback" not in err
