"""The servers a bench run works with, the ones of the tests: Dovecot, rclone's S3."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.generate import Delivery
from bench.maildir import fill
from bench.places import Bucket, MailServer
from tests.servers import DovecotServer, RcloneS3

BUCKET = "bench"


@contextmanager
def dovecot(root: Path, users: Sequence[str], mails: Iterable[Delivery]) -> Iterator[MailServer]:
    """Run a Dovecot that holds the mails, its own indexes made, and forget it all afterwards."""
    root.mkdir()
    server = DovecotServer.start(root, users=users)
    try:
        fill({user: server.home(user) / "Maildir" for user in users}, mails)
        for user in users:
            server.own(server.home(user))
            command = ["doveadm", "-c", str(root / "dovecot.conf"), "index", "-u", user, "*"]
            subprocess.run(command, check=True, capture_output=True)
        home, master = root / "home", server.master.password
        yield MailServer("127.0.0.1", server.port, tuple(users), dict(server.users), home, master)
    finally:
        server.remove()


@contextmanager
def bucket(root: Path) -> Iterator[Bucket]:
    """Run rclone's S3 server over a directory, with one bucket."""
    root.mkdir()
    server = RcloneS3.start(root)
    try:
        data = server.new_bucket(BUCKET)
        yield Bucket(server.endpoint, BUCKET, data, server.environment)
    finally:
        server.stop()
