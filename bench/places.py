"""Where the bench's mail and vaults lie: a mail server, and a store that all contestants share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.delay import Line


@dataclass(frozen=True)
class MailServer:
    """A Dovecot on loopback; `home` is where its users' mail can be counted.

    Contestants come by `port`: in plain text unless `ca` vouches for the server, and by a longer way where there is a
    `line`. What happens in mailboxes between backups comes by `plain_port`.
    """

    host: str
    port: int
    plain_port: int
    users: tuple[str, ...]
    passwords: dict[str, str] = field(repr=False)
    home: Path
    master_password: str = field(default="", repr=False)
    ca: Path | None = None
    line: Line | None = None

    @property
    def master_url(self) -> str:
        """All accounts as Restante restores them in one command."""
        return f"{self.url('master')}&master=*"

    def url(self, user: str) -> str:
        """The account as Restante takes it."""
        if self.ca:
            return f"imaps://{user}@{self.host}:{self.port}?ca={self.ca}"
        return f"imap://{user}@{self.host}:{self.port}?tls=off"

    def maildir(self, user: str) -> Path:
        """Where a user's mail lies."""
        return self.home / user / "Maildir"

    def held(self) -> int:
        """Count the mails of all users; one without flags that nobody has selected yet lies in `new`."""
        places = (self.home.glob(f"*/Maildir/**/{part}/*") for part in ("cur", "new"))
        return sum(1 for place in places for path in place if path.is_file())


class Store(Protocol):
    """Where vaults and repositories lie side by side, each below a name of its own."""

    @property
    def env(self) -> Mapping[str, str]:
        """What clients need in their environment."""

    @property
    def line(self) -> Line | None:
        """The longer way to the store, where it has one."""

    def vault(self, name: str) -> str:
        """A vault's address for Restante."""

    def restic(self, name: str) -> str:
        """A repository's address for restic."""

    def at(self, name: str) -> Path:
        """The directory in which a vault's or repository's files can be counted."""


@dataclass(frozen=True)
class Folder:
    """A local directory as a store."""

    root: Path
    env: Mapping[str, str] = field(default_factory=dict)
    line: Line | None = None

    def vault(self, name: str) -> str:
        return f"file://{self.at(name)}"

    def restic(self, name: str) -> str:
        return str(self.at(name))

    def at(self, name: str) -> Path:
        return self.root / name


@dataclass(frozen=True)
class Bucket:
    """A bucket of an S3 server over a directory; `data` is where its objects can be counted."""

    endpoint: str
    name: str
    data: Path
    env: Mapping[str, str] = field(repr=False)
    line: Line | None = None

    def vault(self, name: str) -> str:
        return f"s3://{self.name}/{name}?endpoint_url={self.endpoint}&region={self.env['AWS_DEFAULT_REGION']}"

    def restic(self, name: str) -> str:
        return f"s3:{self.endpoint}/{self.name}/{name}"

    def at(self, name: str) -> Path:
        return self.data / name
