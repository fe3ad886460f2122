"""rclone's S3 server over a directory: what it took in outlives a restart."""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.secret import new_secret
from tests.servers.base import DataServer
from tests.servers.process import Server, ServerMissing, find_program, free_ports, new_directory

REGION = "us-east-1"


@dataclass
class RcloneS3(DataServer):
    """A running S3 server; each directory below `data` is a bucket."""

    access_key: str
    secret_key: str = field(repr=False)

    @classmethod
    def start(cls, directory: Path | None = None, *, read_only: bool = False) -> Self:
        """Start a server over `directory`, a new one unless given. Raises ServerMissing, ServerFailed."""
        program = find_program(str(Path(sys.executable).parent / "rclone"), "rclone")
        if program is None:
            raise ServerMissing("rclone")
        directory = directory or new_directory("s3")
        server = cls(directory, free_ports(1)[0], secrets.token_hex(10), new_secret(24))
        server.data.mkdir(parents=True, exist_ok=True)
        configuration = directory / "rclone.conf"
        configuration.touch()
        keys = {"RCLONE_AUTH_KEY": f'"{server.access_key},{server.secret_key}"'}
        where = ["--config", str(configuration), "--addr", f"127.0.0.1:{server.port}"]
        # Next to no cache, so that a test may change an object's file under the server; with 0s rclone only spins.
        caches = ["--vfs-cache-mode", "off", "--dir-cache-time", "1ms"]
        rights = ["--read-only"] if read_only else []
        command = [program, "serve", "s3", *where, *caches, *rights, str(server.data)]
        server._server = Server(command, [server.port], directory / "rclone.log", {"HOME": str(directory), **keys})
        server._server.start()
        return server

    @property
    def data(self) -> Path:
        """The directory that holds the buckets; every object is a file in it."""
        return self.directory / "data"

    @property
    def endpoint(self) -> str:
        """The server's address for S3 clients."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The credentials, as every S3 client takes them; `monkeypatch.setenv` or a child's `env`."""
        keys = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
        # No client is to look for other credentials on this machine, or ask a cloud's metadata server.
        return {**keys, "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"}

    def new_bucket(self, name: str) -> Path:
        """Make an empty bucket; returns the directory that holds it."""
        bucket = self.data / name
        bucket.mkdir()
        return bucket

    def vault_url(self, place: str) -> str:
        """Return the URL of a vault at `bucket` or `bucket/prefix`; makes the bucket if need be."""
        (self.data / place.partition("/")[0]).mkdir(exist_ok=True)
        return f"s3://{place}?endpoint_url={self.endpoint}&region={REGION}"
