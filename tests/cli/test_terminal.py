"""On a terminal: secrets are asked for without echo, and bars show how far it is."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from tests.cli.command import Command, bare_command
from tests.secret import leaked, new_secret
from tests.servers import DovecotServer
from tests.servers.maildir import deliver


def on_a_terminal(command: Command, *arguments: str, typed: list[str]) -> tuple[int, str]:
    """Run the command on a terminal, answer each prompt with what is typed; return exit code and screen."""
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "restante", *arguments],
        cwd=command.cwd, env=command.env, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    shown, answers = b"", list(typed)
    while data := _read(screen):
        shown += data
        if answers and data.rstrip().endswith(b":"):
            os.write(screen, answers.pop(0).encode() + b"\n")
    os.close(screen)
    return process.wait(30), shown.decode(errors="replace")


def _read(screen: int) -> bytes:
    try:
        return os.read(screen, 65536)
    except OSError:
        return b""


def test_a_vault_is_made_filled_checked_and_emptied_on_a_terminal(tmp_path: Path, dovecot: DovecotServer) -> None:
    user = dovecot.new_user()
    deliver(
        dovecot, user.name, "INBOX", [b"Subject: one\r\n\r\none\r\n", b"Subject: two\r\n\r\n" + b"two\r\n" * 100_000]
    )
    command = bare_command(tmp_path).with_(RESTANTE_VAULT=f"file://{tmp_path}/vault", TERM="xterm")
    secret = new_secret()
    assert on_a_terminal(command, "init", typed=[secret, secret])[0] == 0
    for line, typed, words in (
        (("backup", dovecot.url(user.name)), [user.password, secret], "complete"),
        (("check", "--read"), [secret], "No damage found."),
        (("restore", user.name, "--to", "eml:out", "--verify"), [secret], "complete"),
        (("ls", user.name), [secret], "INBOX"),
    ):
        code, screen = on_a_terminal(command, *line, typed=typed)
        assert (code, words in screen) == (0, True), screen
        assert "Traceback" not in screen
        assert not leaked(screen)


def test_two_different_passphrases_are_told(tmp_path: Path) -> None:
    command = bare_command(tmp_path).with_(RESTANTE_VAULT=f"file://{tmp_path}/vault", TERM="xterm")
    code, screen = on_a_terminal(command, "init", typed=[new_secret(), new_secret()])
    assert code == 2
    assert "error: the two passphrases differ" in screen
