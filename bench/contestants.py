"""Who takes part: Restante, and what people use today, mbsync into a mirror and restic over that."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.measure import Cost, Kept, kept, measure
from bench.places import Bucket, MailServer


@dataclass(frozen=True, slots=True)
class Round:
    """One backup: what it cost, what it added to the store, the figures that it gave itself."""

    cost: Cost
    added: Kept
    report: dict[str, Any]


@dataclass
class Restante:
    """`restante` as an administrator runs it: one configuration file, one command."""

    bucket: Bucket
    work: Path
    prefix: str = "restante"
    accounts_at_once: int = 4
    env: dict[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        self.env = {**self.bucket.env, "RESTANTE_PASSPHRASE": secrets.token_hex(16)}

    def _run(self, verb: str, *arguments: str, env: dict[str, str] | None = None) -> Cost:
        config = ["--config", str(self.work / "restante.yaml")]
        command = [sys.executable, "-m", "restante", verb, *config, *arguments]
        return measure([command], env={**self.env, **(env or {})}, log=self.work / "restante.log")

    def start(self, server: MailServer) -> None:
        """Make the vault and a configuration that names all of the server's users."""
        accounts = [
            {"name": user, "url": server.url(user), "password_file": self._secret(user, server.passwords[user])}
            for user in server.users
        ]
        vault = {"url": self.bucket.vault(self.prefix), "cache": str(self.work / "cache")}
        limits = {"accounts_at_once": self.accounts_at_once, "connections": 2}
        config = {"vault": vault, "accounts": accounts, "limits": limits}
        (self.work / "restante.yaml").write_text(json.dumps(config))
        self._run("init")

    def _secret(self, name: str, text: str) -> str:
        file = self.work / f"{name}.password"
        file.touch(mode=0o600)
        file.write_text(text + "\n")
        return str(file)

    def backup(self) -> Round:
        """Back up every account."""
        before = kept(self.bucket.at(self.prefix))
        cost = self._run("backup", "--json")
        return Round(cost, kept(self.bucket.at(self.prefix)) - before, json.loads(cost.said))

    def restore(self, target: MailServer) -> Cost:
        """Restore every account to the server, with nothing left but vault and passphrase."""
        shutil.rmtree(self.work / "cache", ignore_errors=True)
        env = {"RESTANTE_TARGET_PASSWORD": target.master_password}
        return self._run("restore", "--all", "--to", target.master_url, "--json", env=env)


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
        """The directory that restic backs up."""
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
        config = self.work / "mbsyncrc"
        config.touch(mode=0o600)
        fsync = "FSync no\n" if self.tuned else ""
        config.write_text(fsync + "".join(_channel(server, user, mirror / user, way) for user in server.users))
        for user in server.users:
            (mirror / user).mkdir(parents=True, exist_ok=True)
        which = server.users if self.tuned else ("-a",)
        commands = [[self.binary, "-q", "-c", str(config), one] for one in which]
        return measure(commands, env={}, log=self.work / "mbsync.log", width=2)


def _channel(server: MailServer, user: str, home: Path, way: str) -> str:
    return f"""
IMAPStore {user}-far
Host {server.host}
Port {server.port}
User {user}
Pass "{server.passwords[user]}"
SSLType None
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


@dataclass
class Restic:
    """A restic repository beside the others in the bucket, at one level of compression."""

    bucket: Bucket
    work: Path
    compression: str
    prefix: str
    env: dict[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        repository = {"RESTIC_REPOSITORY": self.bucket.restic(self.prefix), "RESTIC_PASSWORD": secrets.token_hex(16)}
        self.env = {**self.bucket.env, **repository, "RESTIC_CACHE_DIR": str(self.work / "cache")}

    def _run(self, *arguments: str) -> Cost:
        command = ["restic", "--quiet", "--compression", self.compression, *arguments]
        return measure([command], env=self.env, log=self.work / f"restic-{self.compression}.log")

    def start(self) -> None:
        """Make the repository."""
        self._run("init", "--repository-version", "2")

    def backup(self, mirror: Path) -> Round:
        """Back up the mirror."""
        before = kept(self.bucket.at(self.prefix))
        cost = self._run("backup", str(mirror))
        return Round(cost, kept(self.bucket.at(self.prefix)) - before, {})

    def restore(self, target: Path) -> Cost:
        """Restore the newest snapshot below `target`, with nothing left but repository and password."""
        shutil.rmtree(self.work / "cache", ignore_errors=True)
        return self._run("restore", "latest", "--target", str(target))
