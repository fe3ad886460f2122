"""Postfix, handing mail to an IMAP server by LMTP."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.servers.base import DOMAIN, Mailer
from tests.servers.process import (
    UNPACKED,
    Server,
    ServerMissing,
    find_program,
    free_ports,
    need_namespaces,
    new_directory,
)

PREFIX = UNPACKED / "postfix"
# Accounts that every Debian has, so that none need be made.
OWNER, DROP_GROUP = "uucp", "news"
PRIVATE_QUEUES = "active bounce corrupt defer deferred flush hold incoming private saved trace".split()


def dovecot_lmtp(port: int) -> str:
    """Return what makes a Dovecot take mail by LMTP, for `extra` of `DovecotServer.start`."""
    return f"""\
protocols = imap lmtp
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
"""


@dataclass
class PostfixServer(Mailer):
    """A running Postfix. Its master needs root."""

    @classmethod
    def start(cls, lmtp_port: int) -> Self:
        """Start an instance that delivers to an LMTP server on loopback. Raises ServerMissing, ServerFailed."""
        master = find_program(str(PREFIX / "usr/lib/postfix/sbin/master"), "/usr/lib/postfix/sbin/master")
        if master is None:
            raise ServerMissing("postfix")
        need_namespaces("postfix")
        server = cls(new_directory("postfix"), free_ports(1)[0])
        server._lay_out(Path(master), lmtp_port)
        configuration = str(server.directory / "etc")
        environment = {"PATH": os.environ.get("PATH", ""), "MAIL_CONFIG": configuration}
        environment["LD_LIBRARY_PATH"] = str(Path(master).parents[1])
        log = server.directory / "log" / "start.log"
        server._server = Server([master, "-c", configuration, "-d"], [server.port], log, environment, apart=[])
        server._server.start()
        return server

    def _lay_out(self, master: Path, lmtp_port: int) -> None:
        for name in ("etc", "data", "log", "spool"):
            (self.directory / name).mkdir()
        shutil.chown(self.directory / "data", OWNER)
        queues = dict.fromkeys(PRIVATE_QUEUES, (OWNER, "root", 448))
        queues |= {"maildrop": (OWNER, DROP_GROUP, 0o1730), "public": (OWNER, DROP_GROUP, 0o710)}
        queues |= {"pid": ("root", "root", 0o755)}
        for name, (owner, group, mode) in queues.items():
            place = self.directory / "spool" / name
            place.mkdir()
            shutil.chown(place, owner, group)
            place.chmod(mode)
        (self.directory / "etc" / "main.cf").write_text(_main(self, master, lmtp_port))
        (self.directory / "etc" / "master.cf").write_text(f"127.0.0.1:{self.port} inet n - n - - smtpd\n{_SERVICES}")
        (self.directory / "etc" / "dynamicmaps.cf").touch()


def _main(server: PostfixServer, master: Path, lmtp_port: int) -> str:
    place, libraries = server.directory, master.parents[1]
    return f"""\
compatibility_level = 3.6
queue_directory = {place}/spool
data_directory = {place}/data
daemon_directory = {master.parent}
command_directory = {master.parents[3]}/sbin
shlib_directory = {libraries}
meta_directory = {place}/etc
mail_owner = {OWNER}
setgid_group = {DROP_GROUP}
import_environment = MAIL_CONFIG TZ LANG=C LD_LIBRARY_PATH={libraries}
export_environment = TZ LANG MAIL_CONFIG LD_LIBRARY_PATH={libraries}
maillog_file = {place}/log/postfix.log
maillog_file_prefixes = {place}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.{DOMAIN}
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
virtual_mailbox_domains = {DOMAIN}
virtual_mailbox_maps = static:all
virtual_transport = lmtp:inet:127.0.0.1:{lmtp_port}
smtpd_relay_restrictions = permit_mynetworks reject
smtpd_peername_lookup = no
disable_dns_lookups = yes
"""


_SERVICES = """\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - n n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""
