"""Where the bench's mail and vaults lie: a mail server, and a store that all contestants share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class MailServer:
    """A Dovecot on loopback, plain text; `home` is where its users' mail can be counted."""

    host: str
    port: int
    users: tuple[str, ...]
    passwords: dict[str, str] = field(repr=False)
    home: Path
    master_password: str = field(default="", repr=False)

    @property
    def master_url(self) -> str:
        """All accounts as Restante restores them in one command."""
        return f"imap://master@{self.host}:{self.port}?tls=off&master=*"

    def url(self, user: str) -> str:
        """The account as Restante takes it."""
        return f"imap://{user}@{self.host}:{self.port}?tls=off"

    def held(self) -> int:
        """Count the mails of all users; one without flags that nobody has selected yet lies in `new`."""
        places = (self.home.glob(f"*/Maildir/**/{part}/*") for part in ("cur", "new"))
        return sum(1 for place in places for path in place if path.is_file())


@dataclass(frozen=True)
class Bucket:
    """A bucket of an S3 server over a directory; `data` is where its objects can be counted."""

    endpoint: str
    name: str
    data: Path
    env: dict[str, str] = field(repr=False)

    def restic(self, prefix: str) -> str:
        """A repository's address for restic."""
        return f"s3:{self.endpoint}/{self.name}/{prefix}"

    def vault(self, prefix: str) -> str:
        """A vault's address for Restante."""
        return f"s3://{self.name}/{prefix}?endpoint_url={self.endpoint}&region={self.env['AWS_DEFAULT_REGION']}"

    def at(self, prefix: str) -> Path:
        """The directory that holds a prefix's objects."""
        return self.data / prefix
