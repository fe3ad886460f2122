"""Courier, IMAP and POP3: Maildir++ below `INBOX.`, no CONDSTORE, no LITERAL+; what it does not know is a NO."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.servers.base import HomeServer, TlsServer, User
from tests.servers.certificate import make_certificate
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

PREFIXES = (UNPACKED / "courier", UNPACKED / "courier-pop")
PROGRAMS = {
    "listen": ("usr/sbin/couriertcpd",),
    "login": ("usr/lib/courier/courier/imaplogin",),
    "imapd": ("usr/bin/imapd",),
    "poplogin": ("usr/lib/courier/courier/courierpop3login",),
    "popd": ("usr/lib/courier/courier/courierpop3d",),
    "tls": ("usr/bin/couriertls",),
    "maildirmake": ("usr/bin/maildirmake.courier",),
}


@dataclass
class CourierServer(TlsServer, HomeServer):
    """A running Courier. Its paths are compiled in, so it lives in a mount namespace of its own; that takes root."""

    programs: dict[str, str]
    pop_port: int

    @classmethod
    def start(cls, directory: Path | None = None) -> Self:
        """Start an instance and wait until it answers. Raises ServerMissing, ServerFailed."""
        found = {name: find_program(*(f"{root}/{path}" for root in (*PREFIXES, "") for path in paths))
                 for name, paths in PROGRAMS.items()}  # fmt: skip
        programs = {name: program for name, program in found.items() if program}
        if len(programs) < len(PROGRAMS) or find_program("makeuserdb") is None:
            raise ServerMissing("courier")
        need_namespaces("courier")
        directory = directory or new_directory("courier")
        port, tls_port, pop_port = free_ports(3)
        server = cls(directory, port, tls_port, make_certificate(directory), programs, pop_port)
        server._lay_out()
        log, environment = directory / "log" / "courier.log", {"PATH": os.environ.get("PATH", "") + ":/usr/sbin"}
        command = [str(directory / "run.sh")]
        server._server = Server(command, [port, tls_port, pop_port], log, environment, apart=["--mount"])
        server._server.start()
        return server

    def wipe(self, user: str) -> None:
        """Lose all mail of one user; the server won't let anybody in who has no Maildir, so an empty one is made."""
        super().wipe(user)
        self._make_maildir(user)

    def _add(self, user: User) -> None:
        self._make_home(user.name)
        self._make_maildir(user.name)
        home = self.home(user.name)
        owner = home.stat()
        fields = (f"uid={owner.st_uid}", f"gid={owner.st_gid}", f"home={home}", f"mail={home}/Maildir")
        with (self.directory / "etc" / "userdb").open("a") as accounts:
            accounts.write(f"{user.name}\t{'|'.join(fields)}|systempw={hashed(user.password)}\n")
        self._index_accounts()

    def _make_maildir(self, user: str) -> None:
        subprocess.run([self.programs["maildirmake"], str(self.home(user) / "Maildir")], check=True)
        self.own(self.home(user))

    def _index_accounts(self) -> None:
        program = find_program("makeuserdb")
        assert program is not None
        subprocess.run([program, "-f", str(self.directory / "etc" / "userdb")], check=True, capture_output=True)

    def _lay_out(self) -> None:
        for name in ("etc", "home", "log"):
            (self.directory / name).mkdir()
        accounts = self.directory / "etc" / "userdb"
        accounts.touch(mode=0o600)
        self._index_accounts()
        keys = self.certificate.key.read_bytes() + self.certificate.certificate.read_bytes()
        (self.directory / "both.pem").write_bytes(keys)
        (self.directory / "etc" / "authdaemonrc").write_text(_AUTHDAEMON)
        (self.directory / "etc" / "imapd").write_text(_imapd(self))
        script = self.directory / "run.sh"
        script.write_text(_script(self))
        script.chmod(0o755)


_AUTHDAEMON = """\
authmodulelist="authuserdb"
authmodulelistorig="authuserdb"
daemons=3
authdaemonvar=/run/courier/authdaemon
DEBUG_LOGIN=0
DEFAULTOPTIONS=""
LOGGEROPTS=""
"""


def _imapd(server: CourierServer) -> str:
    return f"""\
AUTHMODULES=authdaemon
IMAP_CAPABILITY="IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=REFERENCES SORT QUOTA IDLE AUTH=PLAIN"
IMAP_CAPABILITY_TLS="$IMAP_CAPABILITY"
IMAP_KEYWORDS=1
IMAP_ACL=1
IMAP_IDLE_TIMEOUT=60
IMAP_MAILBOX_SANITY_CHECK=1
IMAP_DISABLETHREADSORT=0
IMAP_CHECK_ALL_FOLDERS=0
IMAP_OBSOLETE_CLIENT=0
IMAP_USELOCKS=1
IMAP_SHAREDINDEXFILE=/etc/courier/shared/index
IMAP_ENHANCEDIDLE=0
IMAP_TRASHFOLDERNAME=Trash
IMAP_EMPTYTRASH=
IMAP_MOVE_EXPUNGE_TO_TRASH=0
IMAP_STARTTLS=YES
IMAPDSTARTTLS=YES
IMAP_TLS_REQUIRED=0
COURIERTLS={server.programs["tls"]}
TLS_PROTOCOL=TLS1_2++
TLS_STARTTLS_PROTOCOL=TLS1_2++
TLS_CERTFILE={server.directory}/both.pem
TLS_VERIFYPEER=NONE
MAILDIRPATH=Maildir
"""


def _script(server: CourierServer) -> str:
    programs = {name: shlex.quote(program) for name, program in server.programs.items()}
    options = "-address=127.0.0.1 -maxprocs=200 -maxperip=200 -nodnslookup -noidentlookup"
    listen, session = f"{programs['listen']} {options}", f"{programs['login']} {programs['imapd']} Maildir"
    return f"""\
#!/bin/sh
set -e
trap 'exit 0' TERM
mkdir -p /etc/courier
mount --bind {server.directory}/etc /etc/courier
mount -t tmpfs tmpfs /run
mkdir -p /run/courier/authdaemon
chmod 755 /run/courier /run/courier/authdaemon
/usr/lib/courier/courier-authlib/authdaemond &
set -a
. /etc/courier/imapd
{listen} {server.port} {session} &
{listen} {server.pop_port} {programs["poplogin"]} {programs["popd"]} Maildir &
IMAP_TLS=1 {listen} {server.tls_port} {programs["tls"]} -server -tcpd {session} &
wait
"""
