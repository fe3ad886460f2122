"""Dovecot, as many instances as wanted, each with data of its own."""

from __future__ import annotations

import getpass
import grp
import os
import pwd
import secrets
import shutil
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import quote

from tests.secret import new_secret
from tests.servers.certificate import Certificate, make_certificate
from tests.servers.process import Server, ServerMissing, find_program, free_ports, new_directory
from tests.servers.wire import RawImap

CAPABILITIES = (
    "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFERENCES THREAD=REFS "
    "THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED "
    "I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES WITHIN CONTEXT=SEARCH LIST-STATUS BINARY MOVE "
    "SNIPPET=FUZZY PREVIEW=FUZZY PREVIEW STATUS=SIZE SAVEDATE LITERAL+ NOTIFY SPECIAL-USE"
).split()
"""What Dovecot 2.3 offers after login."""


@dataclass(frozen=True)
class User:
    """One account of a test server."""

    name: str
    password: str = field(repr=False)


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


@dataclass
class DovecotServer:
    """A running Dovecot. Users are files of their own, so that a new one can log in at once."""

    directory: Path
    port: int
    tls_port: int
    options: Options
    certificate: Certificate
    master: User
    owner: Owner
    users: dict[str, str] = field(default_factory=dict, repr=False)
    _server: Server = field(init=False, repr=False)

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
    ) -> Self:
        """Start an instance and wait until it answers. Raises ServerMissing, ServerFailed.

        `location` is Dovecot's mail_location (`mdbox:~/mdbox`, `mbox:~/mail:INBOX=~/inbox` …). `without` names
        capabilities to hide, e.g. `{"QRESYNC", "CONDSTORE", "LIST-STATUS"}`. `quota_mb` makes an over-full account
        answer `NO [OVERQUOTA]`. `extra` goes to the end of the configuration. Without `directory` a new one is made;
        a directory must be one that others may enter (not pytest's `tmp_path`).
        """
        program = find_program("dovecot")
        if program is None:
            raise ServerMissing("dovecot")
        directory = directory or new_directory("dovecot")
        options = Options(location, separator, prefix, frozenset(without), quota_mb, extra)
        master = User("master", new_secret())
        port, tls_port = free_ports(2)
        server = cls(directory, port, tls_port, options, make_certificate(directory), master, _owner())
        server._lay_out()
        for name in users:
            server.new_user(name)
        log = directory / "log" / "start.log"
        command = [program, "-F", "-c", str(directory / "dovecot.conf")]
        server._server = Server(command, [server.port, server.tls_port], log, {"PATH": os.environ.get("PATH", "")})
        server._server.start()
        return server

    @property
    def ca(self) -> Path:
        """The PEM file of the authority that vouches for the server."""
        return self.certificate.ca

    @property
    def log_path(self) -> Path:
        """Dovecot's log."""
        return self.directory / "log" / "dovecot.log"

    def new_user(self, name: str | None = None) -> User:
        """Make an empty account with a random password, under a random name unless one is given."""
        user = User(name or f"user-{secrets.token_hex(4)}@example.test", new_secret())
        self.users[user.name] = user.password
        home = self.home(user.name)
        home.mkdir(parents=True)
        self.own_one(home)
        line = f"{user.name}:{{PLAIN}}{user.password}:{self.owner.uid}:{self.owner.gid}::{home}::\n"
        (self.directory / "users" / user.name).write_text(line)
        return user

    def password(self, user: str) -> str:
        """Return the user's password."""
        return self.users[user]

    def home(self, user: str) -> Path:
        """Return the directory under which the user's mail lies."""
        return self.directory / "home" / user

    def url(self, user: str) -> str:
        """Return the account's URL, plain text."""
        return f"imap://{quote(user)}@127.0.0.1:{self.port}?tls=off"

    def starttls_url(self, user: str) -> str:
        """Return the account's URL for STARTTLS, trusting the server's authority."""
        return f"imap://{quote(user)}@127.0.0.1:{self.port}?ca={self.ca}"

    def imaps_url(self, user: str) -> str:
        """Return the account's URL over TLS, trusting the server's authority."""
        return f"imaps://{quote(user)}@127.0.0.1:{self.tls_port}?ca={self.ca}"

    def stop(self) -> None:
        """End the server; mail stays."""
        self._server.stop()

    def kill(self) -> None:
        """End the server at once, as a power cut does."""
        self._server.kill()

    def restart(self) -> None:
        """End the server if it runs, and start it again on the same ports with the same mail."""
        self._server.stop()
        self._server.start()

    def wipe(self, user: str) -> None:
        """Lose all mail of one user, as a server does that was rebuilt."""
        shutil.rmtree(self.home(user))
        self.home(user).mkdir()
        self.own_one(self.home(user))

    def remove(self) -> None:
        """End the server and delete its data."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def open(self, user: str) -> RawImap:
        """Log in on a bare socket, to look at or fill the account with none of our own code."""
        return RawImap(self.port, user, self.users[user])

    def own(self, path: Path) -> None:
        """Give a directory tree below a home to the user whose processes read mail."""
        for each in (path, *path.rglob("*")):
            self.own_one(each)

    def own_one(self, path: Path) -> None:
        """Give one file or directory to the user whose processes read mail."""
        if os.geteuid() == 0:
            os.chown(path, self.owner.uid, self.owner.gid)

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
