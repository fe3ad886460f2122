"""Who reads the mail server itself: Restante, mailvault from PyPI, and the plain loop that anyone would write."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench.maildir import mailboxes
from bench.measure import Cost, Kept, kept, measure
from bench.places import MailServer, Store
from imap.names import decode_name
from tests.servers.process import find_program

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Round:
    """One backup: what it cost, what it added to the store, the figures that it gave itself."""

    cost: Cost
    added: Kept
    report: dict[str, Any] = field(default_factory=dict)


class Contestant(Protocol):
    """Someone who backs up a mail server."""

    def start(self, server: MailServer) -> None:
        """Make what has to be there before the first backup."""

    def backup(self, server: MailServer) -> Round:
        """Back up every account."""


def secret_file(path: Path, text: str) -> Path:
    """Write a file that only its owner may read."""
    path.touch(mode=0o600)
    path.write_text(text)
    return path


@dataclass
class Restante:
    """`restante` as an administrator runs it: one configuration file, one command."""

    store: Store
    work: Path
    name: str = "restante"
    accounts_at_once: int = 4
    passphrase: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)

    @property
    def cache(self) -> Path:
        """What is gone on an empty machine."""
        return self.work / "cache"

    def run(
        self, verb: str, *arguments: str, mail: MailServer | None = None, env: dict[str, str] | None = None
    ) -> Cost:
        """Run one command, the accounts being those of the server that was configured last."""
        command = [sys.executable, "-m", "restante", verb, *arguments, "--config", str(self.work / "restante.yaml")]
        full = {**self.store.env, **(env or {})}
        if "RESTANTE_KEY_FILE" not in full:
            full["RESTANTE_PASSPHRASE"] = self.passphrase
        line = mail.line if mail else None
        return measure([command], env=full, log=self.work / "restante.log", mail=line, store=self.store.line)

    def configure(self, server: MailServer) -> None:
        """Write a configuration that names the vault and all of the server's users."""
        accounts = [
            {
                "name": user,
                "url": server.url(user),
                "password_file": str(secret_file(self.work / f"{user}.password", server.passwords[user] + "\n")),
            }
            for user in server.users
        ]
        vault = {"url": self.store.vault(self.name), "cache": str(self.cache)}
        limits = {"accounts_at_once": self.accounts_at_once, "connections": 2}
        config = {"vault": vault, "accounts": accounts, "limits": limits}
        (self.work / "restante.yaml").write_text(json.dumps(config))

    def start(self, server: MailServer) -> None:
        self.configure(server)
        self.run("init")
        self.export_key("backup.key", "--backup-only")

    def backup(self, server: MailServer) -> Round:
        """Back up as a host with a schedule does: with the key file that can't read mail."""
        self.configure(server)
        before = kept(self.store.at(self.name))
        cost = self.run("backup", "--json", mail=server, env=self.key("backup.key"))
        return Round(cost, kept(self.store.at(self.name)) - before, json.loads(cost.said))

    def restore(self, target: MailServer) -> Cost:
        """Restore every account to the server, with nothing left but vault and passphrase."""
        self.forget()
        env = {"RESTANTE_TARGET_PASSWORD": target.master_password}
        return self.run("restore", "--all", "--to", target.master_url, "--json", mail=target, env=env)

    def restore_files(self, out: Path) -> Cost:
        """Restore every account to Maildirs, with nothing left but vault and passphrase."""
        self.forget()
        return self.run("restore", "--all", "--to", f"maildir:{out}", "--json")

    def export_key(self, name: str, *how: str) -> None:
        """Write a key file: a full one, or as it is told."""
        self.run("key", "export", *how, str(self.work / name))

    def key(self, name: str) -> dict[str, str]:
        """Return what names a key file in the environment."""
        return {"RESTANTE_KEY_FILE": str(self.work / name)}

    def forget(self) -> None:
        """Be an empty machine again."""
        shutil.rmtree(self.cache, ignore_errors=True)


@dataclass
class Mailvault:
    """mailvault from PyPI: a file for each message in a local archive, named after its hash, compressed by zstd."""

    work: Path

    @staticmethod
    def program() -> str | None:
        """Where it is installed, in an environment of its own."""
        return find_program(str(ROOT / ".cache/servers/mailvault/bin/mailvault"), "mailvault")

    @property
    def archive(self) -> Path:
        """The directory that it keeps mail in."""
        return self.work / "archive"

    def _run(self, *arguments: str, server: MailServer | None = None) -> Cost:
        program = self.program() or "mailvault"
        env = {"SSL_CERT_FILE": str(server.ca)} if server and server.ca else {}
        line = server.line if server else None
        return measure([[program, "--quiet", *arguments]], env=env, log=self.work / "mailvault.log", mail=line)

    def start(self, server: MailServer) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        self._run("archive", "init", str(self.archive))
        self._configure(server)

    def _configure(self, server: MailServer) -> None:
        # Left to itself it selects the levels that are no mailboxes too, and ends with an error.
        folders = {
            user: [decode_name(name.encode()) for name in mailboxes(server.maildir(user))] for user in server.users
        }
        jobs = [
            f'[[job]]\nname = "{user}"\nserver = "{server.host}"\nport = {server.port}\n'
            f'tls = {"true" if server.ca else "false"}\nusername = "{user}"\npassword = "{server.passwords[user]}"\n'
            f"folders = {json.dumps(folders[user], ensure_ascii=False)}\n"
            for user in server.users
        ]
        secret_file(self.archive / "mailvault.toml", '[global]\nhash = "sha256"\ncompress = true\n\n' + "\n".join(jobs))

    def backup(self, server: MailServer) -> Round:
        self._configure(server)
        before = kept(self.archive)
        cost = self._run("--archive", str(self.archive), "backup", "--allow-new-mailbox", server=server)
        return Round(cost, kept(self.archive) - before)


@dataclass
class PlainLoop:
    """What imapclient's own page suggests, in a loop: every message of every mailbox to a file (bench/plain.py)."""

    work: Path

    def start(self, server: MailServer) -> None:
        (self.work / "mails").mkdir(parents=True, exist_ok=True)
        self._configure(server)

    def _configure(self, server: MailServer) -> None:
        address = {"host": server.host, "port": server.port, "ca": str(server.ca) if server.ca else None}
        secret_file(self.work / "plain.json", json.dumps({**address, "passwords": server.passwords}))

    def backup(self, server: MailServer) -> Round:
        self._configure(server)
        mails = self.work / "mails"
        before = kept(mails)
        command = [sys.executable, "-m", "bench.plain", str(self.work / "plain.json"), str(mails)]
        cost = measure([command], log=self.work / "plain.log", mail=server.line, env={"PYTHONPATH": os.fspath(ROOT)})
        return Round(cost, kept(mails) - before)
