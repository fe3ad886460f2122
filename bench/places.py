"""Where the bench's mail and vaults lie: a mail server, and a store that all contestants share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class MailServer:
    """A Dovecot on loopback, plain text; every user has the one password."""

    host: str
    port: int
    users: tuple[str, ...]
    password: str = field(repr=False)

    def url(self, user: str) -> str:
        """The account as Restante takes it."""
        return f"imap://{user}@{self.host}:{self.port}?tls=off"


@dataclass(frozen=True)
class Bucket:
    """A bucket of an S3 server over a directory; `data` is where its objects can be counted."""

    endpoint: str
    name: str
    data: Path
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)

    @property
    def env(self) -> dict[str, str]:
        """Credentials the way every S3 client reads them."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def restic(self, prefix: str) -> str:
        """A repository's address for restic."""
        return f"s3:{self.endpoint}/{self.name}/{prefix}"

    def vault(self, prefix: str) -> str:
        """A vault's address for Restante."""
        return f"s3://{self.name}/{prefix}?endpoint_url={self.endpoint}&region=us-east-1"

    def at(self, prefix: str) -> Path:
        """The directory that holds a prefix's objects."""
        return self.data / prefix
