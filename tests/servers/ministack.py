"""MiniStack's S3: versions and Object Lock, on disk, so that what it took in outlives a restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import boto3
from botocore.config import Config

from tests.servers.base import DataServer
from tests.servers.process import UNPACKED, Server, ServerMissing, find_program, free_ports, new_directory
from tests.servers.rclone import REGION


@dataclass
class MiniStack(DataServer):
    """A running S3 server with versions and Object Lock. It checks no signatures and no policies."""

    @classmethod
    def start(cls) -> Self:
        """Start a server with data of its own. Raises ServerMissing, ServerFailed."""
        program = find_program(str(UNPACKED / "ministack/bin/ministack"), "ministack")
        if program is None:
            raise ServerMissing("ministack")
        directory = new_directory("ministack")
        server = cls(directory, free_ports(1)[0])
        environment = {
            "BIND_HOST": "127.0.0.1", "MINISTACK_HOST": "127.0.0.1", "GATEWAY_PORT": str(server.port), "SERVICES": "s3",
            "S3_PERSIST": "1", "PERSIST_STATE": "1", "STATE_DIR": str(directory / "state"),
            "S3_DATA_DIR": str(directory / "data"), "DOCKER_HOST": f"unix://{directory}/none", "HOME": str(directory),
        }  # fmt: skip
        server._server = Server([program], [server.port], directory / "ministack.log", environment)
        server._server.start()
        return server

    @property
    def endpoint(self) -> str:
        """The server's address for S3 clients."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Credentials, of which it takes any."""
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        return {**keys, "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"}

    def client(self) -> Any:
        """Return a client as an attacker or administrator would use."""
        config = Config(s3={"addressing_style": "path"})
        session = boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
        return session.client("s3", endpoint_url=self.endpoint, config=config)

    def new_bucket(self, name: str, *, lock: bool = True) -> str:
        """Make a bucket, with versions and Object Lock unless told otherwise; return a vault's URL in it."""
        self.client().create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        return f"s3://{name}/mail?endpoint_url={self.endpoint}&region={REGION}"
