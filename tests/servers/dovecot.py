"""Dovecot, as many instances as wanted, each with data of its own."""

from __future__ import annotations

import getpass
import grp
import os
import pwd
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from tests.secret import new_secret
from tests.servers.base import HomeServer, TlsServer, User
from tests.servers.certificate import make_certificate
from tests.servers.process import Server, ServerMissing, find_program, free_ports, new_directory

CAPABILITIES = (
    "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFERENCES THREAD=REFS "
    "THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED "
    "I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES WITHIN CONTEXT=SEARCH LIST-STATUS BINARY MOVE "
    "SNIPPET=FUZZY PREVIEW=FUZZY PREVIEW STATUS=SIZE SAVEDATE LITERAL+ NOTIFY SPECIAL-USE"
).split()
"""What Dovecot 2.3 offers after login."""

UTC = "UTC0"
"""The usual zone, whatever the machine's; as POSIX writes it, so that no table of zones is needed."""


class Owner(NamedTuple):
    """Whose processes read mail, and whose files mail is: Dovecot refuses root for that."""

    uid: int
    gid: int
    internal: str
    group: str
    login: str


@dataclass(frozen=True)
class Options:
    """How this Dovecot differs from the usual one; see `DovecotServer.start`."""

    location: str = "maildir:~/Maildir"
    separator: str = "/"
    prefix: str = ""
    without: frozenset[str] = frozenset()
    quota_mb: int = 0
    extra: str = ""
    zone: str = UTC


@dataclass
class DovecotServer(TlsServer, HomeServer):
    """A running Dovecot. Users are files of their own, so that a new one can log in at once."""

    options: Options
    master: User
    owner: Owner

    @classmethod
    def start(
        cls,
        directory: Path | None = None,
        *,
        users: Collection[str] = (),
        location: str = "maildir:~/Maildir",
        separator: str = "/",
        prefix: str = "",
        without: Collection[str] = (),
        quota_mb: int = 0,
        extra: str = "",
        zone: str = UTC,
    ) -> Self:
        """Start an instance and wait until it answers. Raises ServerMissing, ServerFailed.

        `location` is Dovecot's mail_location (`mdbox:~/mdbox`, `mbox:~/mail:INBOX=~/inbox` …). `without` names
        capabilities to hide, e.g. `{"QRESYNC", "CONDSTORE", "LIST-STATUS"}`. `quota_mb` makes an over-full account
        answer `NO [OVERQUOTA]`. `extra` goes to the end of the configuration. `zone` is the TZ in which it tells dates;
        POSIX has the sign turned round: `IST-5:30` is +0530. Without `directory` a new one is made; a directory must be
        one that others may enter (not pytest's `tmp_path`).
        """
        program = find_program("dovecot")
        if program is None:
            raise ServerMissing("dovecot")
        directory = directory or new_directory("dovecot")
        options = Options(location, separator, prefix, frozenset(without), quota_mb, extra, zone)
        master = User("master", new_secret())
        port, tls_port = free_ports(2)
        server = cls(directory, port, tls_port, make_certificate(directory), options, master, _owner())
        server._lay_out()
        for name in users:
            server.new_user(name)
        log = directory / "log" / "start.log"
        command = [program, "-F", "-c", str(directory / "dovecot.conf")]
        environment = {"PATH": os.environ.get("PATH", ""), "TZ": zone}
        server._server = Server(command, [server.port, server.tls_port], log, environment)
        server._server.start()
        return server

    def _add(self, user: User) -> None:
        self._make_home(user.name)
        line = f"{user.name}:{{PLAIN}}{user.password}:{self.owner.uid}:{self.owner.gid}::{self.home(user.name)}::\n"
        (self.directory / "users" / user.name).write_text(line)

    def _lay_out(self) -> None:
        for name in ("run", "state", "home", "log", "users"):
            (self.directory / name).mkdir()
        (self.directory / "masters").write_text(f"{self.master.name}:{{PLAIN}}{self.master.password}\n")
        (self.directory / "dovecot.conf").write_text(_configuration(self))


def _owner() -> Owner:
    if os.geteuid() == 0:
        mail = pwd.getpwnam("mail")
        return Owner(mail.pw_uid, mail.pw_gid, "dovecot", "dovecot", "dovenull")
    me, group = getpass.getuser(), grp.getgrgid(os.getegid()).gr_name
    return Owner(os.geteuid(), os.getegid(), me, group, me)


def _configuration(server: DovecotServer) -> str:
    options, place, owner = server.options, server.directory, server.owner
    offered = " ".join(c for c in CAPABILITIES if c not in options.without)
    capability = f"imap_capability = {offered}" if options.without else ""
    roles = "".join(f"  mailbox {name} {{\n    special_use = \\{name}\n  }}\n" for name in ROLES)
    quota = f"quota = count:User quota\n  quota_vsizes = yes\n  quota_rule = *:storage={options.quota_mb}M"
    return f"""\
protocols = imap
listen = 127.0.0.1
base_dir = {place}/run
state_dir = {place}/state
instance_name = {place.name}
log_path = {place}/log/dovecot.log
default_internal_user = {owner.internal}
default_internal_group = {owner.group}
default_login_user = {owner.login}
default_vsz_limit = 2G
first_valid_uid = 1
ssl = yes
ssl_cert = <{server.certificate.certificate}
ssl_key = <{server.certificate.key}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_master_user_separator = *
auth_failure_delay = 0
# Letters of any script, so that an account may be called jörg@….
auth_username_chars =
mail_max_userip_connections = 200
mail_location = {options.location.replace("~", "%h")}
mail_plugins = {"quota" if options.quota_mb else ""}
plugin {{
  {quota if options.quota_mb else ""}
}}
passdb {{
  driver = passwd-file
  args = {place}/masters
  master = yes
  result_success = continue
}}
passdb {{
  driver = passwd-file
  args = username_format=%u {place}/users/%u
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {place}/users/%u
}}
namespace inbox {{
  inbox = yes
  separator = {options.separator}
  prefix = {options.prefix}
{roles}}}
protocol imap {{
  {capability}
  {"mail_plugins = $mail_plugins imap_quota" if options.quota_mb else ""}
}}
service imap-login {{
  chroot =
  service_count = 0
  inet_listener imap {{
    port = {server.port}
  }}
  inet_listener imaps {{
    port = {server.tls_port}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 512
}}
service anvil {{
  chroot =
  # No growing wait after wrong passwords.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
{options.extra}
"""


ROLES = ("Drafts", "Sent", "Trash", "Junk", "Archive")
"""Mailboxes that get a special use once they are created."""
