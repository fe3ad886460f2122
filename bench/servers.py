"""The servers a bench run works with, the ones of the tests: Dovecot, rclone's S3."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.delay import longer_way
from bench.generate import Delivery
from bench.maildir import fill
from bench.places import Bucket, MailServer
from tests.servers import DovecotServer, RcloneS3

BUCKET = "bench"


@contextmanager
def dovecot(root: Path, users: Sequence[str], mails: Iterable[Delivery], *, tls: bool = False) -> Iterator[MailServer]:
    """Run a Dovecot that holds the mails, its own indexes made, and forget it all afterwards."""
    root.mkdir()
    server = DovecotServer.start(root, users=users)
    try:
        fill({user: server.home(user) / "Maildir" for user in users}, mails)
        for user in users:
            server.own(server.home(user))
            command = ["doveadm", "-c", str(root / "dovecot.conf"), "index", "-u", user, "*"]
            subprocess.run(command, check=True, capture_output=True)
        yield MailServer(
            host="127.0.0.1",
            port=server.tls_port if tls else server.port,
            plain_port=server.port,
            users=tuple(users),
            passwords=dict(server.users),
            home=root / "home",
            master_password=server.master.password,
            ca=server.ca if tls else None,
        )
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


@contextmanager
def far_server(server: MailServer, milliseconds: int) -> Iterator[MailServer]:
    """The same server at the end of a line of that round trip, over which all is counted."""
    with longer_way(server.port, milliseconds) as line:
        yield replace(server, port=line.port, line=line)


@contextmanager
def far_bucket(bucket: Bucket, milliseconds: int) -> Iterator[Bucket]:
    """The same bucket at the end of a line of that round trip, over which all is counted."""
    with longer_way(int(bucket.endpoint.rpartition(":")[2]), milliseconds) as line:
        yield replace(bucket, endpoint=f"http://127.0.0.1:{line.port}", line=line)
