"""Cyrus IMAP: strict about what it takes, and with message ids of its own (OBJECTID)."""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.secret import new_secret
from tests.servers.base import TlsServer, User
from tests.servers.certificate import make_certificate
from tests.servers.process import UNPACKED, Server, ServerMissing, find_program, free_ports, new_directory
from tests.servers.wire import RawImap

PREFIX = UNPACKED / "cyrus"


@dataclass
class CyrusServer(TlsServer):
    """A running Cyrus with accounts in a sasldb file. An account's mailboxes are made at its first login."""

    lmtp_port: int
    sieve_port: int
    admin: User

    @classmethod
    def start(cls, directory: Path | None = None, *, separator: str = "/", below_inbox: bool = False) -> Self:
        """Start an instance and wait until it answers. Raises ServerMissing, ServerFailed.

        `separator` is `/` or `.`; with `below_inbox` all mailboxes lie under `INBOX`, as in Courier's namespace.
        """
        master = find_program(str(PREFIX / "usr/sbin/cyrmaster"), str(PREFIX / "usr/lib/cyrus/bin/master"), "cyrmaster")
        if master is None or find_program("saslpasswd2") is None:
            raise ServerMissing("cyrus")
        directory = directory or new_directory("cyrus")
        admin = User("cyrus", new_secret())
        port, tls_port, lmtp_port, sieve_port = free_ports(4)
        server = cls(directory, port, tls_port, make_certificate(directory), lmtp_port, sieve_port, admin)
        server._lay_out(master, separator, below_inbox=below_inbox)
        server._add(admin)
        files = ["-C", str(directory / "imapd.conf"), "-M", str(directory / "cyrus.conf")]
        command = [master, *files, "-p", str(directory / "master.pid"), "-L", str(directory / "log" / "master.log")]
        ports, log = [port, tls_port, lmtp_port, sieve_port], directory / "log" / "start.log"
        server._server = Server(command, ports, log, _environment())
        server._server.start()
        return server

    def wipe(self, user: str) -> None:
        """Lose all mail of one user; an empty INBOX is made again at his next login."""
        with RawImap(self.port, self.admin.name, self.admin.password) as imap:
            imap.do(f"SETACL user/{user} {self.admin.name} lrswipkxtecda")
            imap.do(f"DELETE user/{user}")

    def _new_name(self) -> str:
        return f"user{secrets.token_hex(4)}"  # Cyrus would take `@example.test` for a domain of its own

    def _add(self, user: User) -> None:
        program = find_program("saslpasswd2")
        assert program is not None
        database = str(self.directory / "sasldb2")
        command = [program, "-p", "-c", "-f", database, "-u", "localhost", user.name]
        subprocess.run(command, input=user.password.encode(), check=True, capture_output=True)
        _give(self.directory / "sasldb2")

    def _lay_out(self, master: str, separator: str, *, below_inbox: bool) -> None:
        for name in ("sieve", "conf/socket", "conf/proc", "conf/lock", "conf/db", "spool", "sock", "tmp", "log"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        inside = Path(master).resolve().is_relative_to(PREFIX.resolve())
        programs = (PREFIX if inside else Path("/")) / "usr/lib/cyrus/bin"
        (self.directory / "imapd.conf").write_text(_imapd_conf(self, separator, below_inbox=below_inbox))
        (self.directory / "cyrus.conf").write_text(_cyrus_conf(self, programs))
        for path in (self.directory, *self.directory.rglob("*")):
            _give(path)


def _owner() -> str:
    return "mail" if os.geteuid() == 0 else getpass.getuser()


def _give(path: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(path, _owner())


def _environment() -> dict[str, str]:
    libraries = [str(each) for each in sorted((PREFIX / "usr/lib").glob("*-linux-gnu"))]
    return {"PATH": os.environ.get("PATH", ""), "LD_LIBRARY_PATH": os.pathsep.join(libraries)}


def _imapd_conf(server: CyrusServer, separator: str, *, below_inbox: bool) -> str:
    place = server.directory
    return f"""\
configdirectory: {place}/conf
defaultpartition: default
partition-default: {place}/spool
temp_path: {place}/tmp
sievedir: {place}/sieve
lmtpsocket: {place}/sock/lmtp
idlesocket: {place}/sock/idle
notifysocket: {place}/sock/notify
proc_path: {place}/conf/proc
mboxname_lockpath: {place}/conf/lock
cyrus_user: {_owner()}
servername: localhost
admins: {server.admin.name}
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {place}/sasldb2
sasl_mech_list: PLAIN LOGIN
tls_server_cert: {server.certificate.certificate}
tls_server_key: {server.certificate.key}
unixhierarchysep: {"yes" if separator == "/" else "no"}
altnamespace: {"no" if below_inbox else "yes"}
conversations: yes
autocreate_quota: 0
autocreate_post: yes
failedloginpause: 0
imapidresponse: yes
maxword: 131072
maxquoted: 131072
"""


def _cyrus_conf(server: CyrusServer, programs: Path) -> str:
    conf = server.directory / "imapd.conf"
    imapd = f"{programs}/imapd -C {conf}"
    return f"""\
START {{
  recover cmd="{programs}/ctl_cyrusdb -C {conf} -r"
}}
SERVICES {{
  imap  cmd="{imapd} -U 30" listen="127.0.0.1:{server.port}" prefork=1 maxchild=200
  imaps cmd="{imapd} -s -U 30" listen="127.0.0.1:{server.tls_port}" prefork=1 maxchild=200
  lmtp  cmd="{programs}/lmtpd -C {conf} -a" listen="127.0.0.1:{server.lmtp_port}" maxchild=20
  sieve cmd="{programs}/timsieved -C {conf}" listen="127.0.0.1:{server.sieve_port}" maxchild=20
}}
EVENTS {{
  checkpoint cmd="{programs}/ctl_cyrusdb -C {conf} -c" period=30
}}
"""
