"""GNU mailutils imap4d: IMAP4rev1 and little more; no keywords, no UIDPLUS, no TLS here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from tests.servers.base import DOMAIN, HomeServer, User
from tests.servers.process import (
    UNPACKED,
    Server,
    ServerMissing,
    find_program,
    free_ports,
    hashed,
    need_namespaces,
    new_directory,
)


@dataclass
class Imap4dServer(HomeServer):
    """A running imap4d with accounts of one virtual domain, whose mail lies in Maildirs or mbox files."""

    storage: Literal["maildir", "mbox"]

    @classmethod
    def start(cls, directory: Path | None = None, *, storage: Literal["maildir", "mbox"] = "maildir") -> Self:
        """Start an instance and wait until it answers. Raises ServerMissing, ServerFailed."""
        program = find_program(str(UNPACKED / "imap4d/usr/sbin/imap4d"), "imap4d")
        if program is None:
            raise ServerMissing("imap4d")
        need_namespaces("imap4d")
        directory = directory or new_directory("imap4d")
        server = cls(directory, free_ports(1)[0], storage)
        for name in ("domains", "home", "spool", "log"):
            (directory / name).mkdir()
        server.own_one(directory / "spool")
        (directory / "domains" / DOMAIN).touch()
        configuration = directory / "imap4d.conf"
        configuration.write_text(_configuration(server))
        command = [program, "--no-config", f"--config-file={configuration}"]
        environment = {"PATH": os.environ.get("PATH", "")}
        server._server = Server(command, [server.port], directory / "log" / "imap4d.log", environment, apart=[])
        server._server.start()
        return server

    def inbox(self, user: str) -> Path:
        """Return the Maildir or mbox file of the user's INBOX; the server makes it when it is first selected."""
        return self.home(user) / "INBOX"

    def _add(self, user: User) -> None:
        self._make_home(user.name)
        home = self.home(user.name)
        owner = home.stat()
        name = user.name.removesuffix(f"@{DOMAIN}")
        with (self.directory / "domains" / DOMAIN).open("a") as accounts:
            accounts.write(f"{name}:{hashed(user.password)}:{owner.st_uid}:{owner.st_gid}::{home}:/bin/sh\n")


def _configuration(server: Imap4dServer) -> str:
    return f"""\
mode daemon;
foreground yes;
max-children 200;
pidfile {server.directory}/imap4d.pid;
logging {{ syslog no; }};
auth {{
  authentication clear;
  authentication generic;
  authorization clear;
  authorization virtdomain;
}};
virtdomain {{ passwd-dir {server.directory}/domains; }};
mailbox {{
  mail-spool {server.directory}/spool;
  mailbox-type {server.storage};
}};
namespace personal {{
  prefix "" {{ directory "$home/mail"; delimiter "/"; mailbox-type {server.storage}; }};
}};
server 127.0.0.1:{server.port} {{
  transcript no;
}};
"""
