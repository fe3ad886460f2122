"""What people use today: mbsync into a mirror, and restic or borg over that."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.contestants import Round, secret_file
from bench.measure import Cost, kept, measure
from bench.places import MailServer, Store


@dataclass
class Mbsync:
    """A mirror of every account as Maildirs: by the book, or tuned (two users at a time, nothing forced to disk)."""

    work: Path
    tuned: bool = True
    binary: str = "mbsync"

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)

    @property
    def mirror(self) -> Path:
        """The directory that is backed up."""
        return self.work / "mirror"

    def pull(self, server: MailServer) -> Cost:
        """Bring the mirror up to date with the server."""
        return self._sync(server, self.mirror, "Create Near\nExpunge Near\nSync Pull\n")

    def push(self, server: MailServer, mirror: Path) -> Cost:
        """Fill an empty server from a mirror that came out of a backup."""
        for state in mirror.rglob(".mbsyncstate*"):
            state.unlink()
        return self._sync(server, mirror, "Create Far\nSync Push\n")

    def _sync(self, server: MailServer, mirror: Path, way: str) -> Cost:
        fsync = "FSync no\n" if self.tuned else ""
        channels = "".join(_channel(server, user, mirror / user, way) for user in server.users)
        config = secret_file(self.work / "mbsyncrc", fsync + channels)
        for user in server.users:
            (mirror / user).mkdir(parents=True, exist_ok=True)
        which = server.users if self.tuned else ("-a",)
        commands = [[self.binary, "-q", "-c", str(config), one] for one in which]
        return measure(commands, log=self.work / "mbsync.log", width=2, mail=server.line)


def _channel(server: MailServer, user: str, home: Path, way: str) -> str:
    # mbsync compares a certificate with names alone, not with addresses.
    host = "localhost" if server.ca else server.host
    tls = f"SSLType IMAPS\nCertificateFile {server.ca}" if server.ca else "SSLType None"
    return f"""
IMAPStore {user}-far
Host {host}
Port {server.port}
User {user}
Pass "{server.passwords[user]}"
{tls}
AuthMechs LOGIN

MaildirStore {user}-near
Path {home}/
Inbox {home}/INBOX
SubFolders Verbatim

Channel {user}
Far :{user}-far:
Near :{user}-near:
Patterns *
SyncState *
CopyArrivalDate yes
{way}
"""


class Archiver(Protocol):
    """Someone who backs up a directory."""

    def start(self) -> None:
        """Make the repository."""

    def backup(self, mirror: Path) -> Round:
        """Back up the mirror."""

    def restore(self, target: Path) -> Cost:
        """Restore the newest backup below `target`, with nothing left but repository and password."""


@dataclass
class Restic:
    """A restic repository beside the others in the store, at one level of compression."""

    store: Store
    work: Path
    compression: str
    name: str
    password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)

    def _run(self, *arguments: str) -> Cost:
        command = ["restic", "--quiet", "--compression", self.compression, *arguments]
        repository = {"RESTIC_REPOSITORY": self.store.restic(self.name), "RESTIC_PASSWORD": self.password}
        env = {**self.store.env, **repository, "RESTIC_CACHE_DIR": str(self.work / "cache")}
        return measure([command], env=env, log=self.work / "restic.log", store=self.store.line)

    def start(self) -> None:
        self._run("init", "--repository-version", "2")

    def backup(self, mirror: Path) -> Round:
        before = kept(self.store.at(self.name))
        cost = self._run("backup", str(mirror))
        return Round(cost, kept(self.store.at(self.name)) - before)

    def restore(self, target: Path) -> Cost:
        shutil.rmtree(self.work / "cache", ignore_errors=True)
        return self._run("restore", "latest", "--target", str(target))


@dataclass
class Borg:
    """A borg repository in a local directory, which is all that borg 1 writes to without a server of its own."""

    work: Path
    passphrase: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    count: int = 0

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)

    @property
    def repository(self) -> Path:
        """Where its files can be counted."""
        return self.work / "repository"

    def _run(self, *arguments: str, where: Path | None = None) -> Cost:
        env = {"BORG_REPO": str(self.repository), "BORG_PASSPHRASE": self.passphrase, "BORG_BASE_DIR": str(self.work)}
        # borg extracts into the directory that it is started in.
        command = ["env", "-C", str(where or self.work), "borg", *arguments]
        return measure([command], env=env, log=self.work / "borg.log")

    def start(self) -> None:
        self._run("init", "--encryption", "repokey-blake2")

    def backup(self, mirror: Path) -> Round:
        before = kept(self.repository)
        self.count += 1
        cost = self._run("create", "--compression", "zstd,3", f"::{self.count}", str(mirror))
        return Round(cost, kept(self.repository) - before)

    def restore(self, target: Path) -> Cost:
        shutil.rmtree(self.work / ".cache", ignore_errors=True)
        target.mkdir(parents=True)
        return self._run("extract", f"::{self.count}", where=target)
