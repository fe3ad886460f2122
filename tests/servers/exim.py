"""Exim, writing mail into Maildirs."""

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


@dataclass
class EximServer(Mailer):
    """A running Exim, which gives up root's rights for those of the user `mail`."""

    @classmethod
    def start(cls, homes: Path) -> Self:
        """Start an instance that delivers to `homes`/ADDRESS/Maildir. Raises ServerMissing, ServerFailed."""
        program = find_program(str(UNPACKED / "exim/usr/sbin/exim4"), "exim4")
        if program is None:
            raise ServerMissing("exim")
        need_namespaces("exim")
        server = cls(new_directory("exim"), free_ports(1)[0])
        for name in ("spool", "log"):
            (server.directory / name).mkdir()
            shutil.chown(server.directory / name, "mail", "mail")
        shutil.chown(server.directory, "mail", "mail")
        configuration = server.directory / "exim.conf"
        configuration.write_text(_configuration(server, homes))
        as_mail = ["setpriv", "--reuid=mail", "--regid=mail", "--clear-groups"]
        command = [*as_mail, program, "-C", str(configuration), "-bdf", "-q1m"]
        log = server.directory / "log" / "start.log"
        server._server = Server(command, [server.port], log, {"PATH": os.environ.get("PATH", "")}, apart=[])
        server._server.start()
        return server


def _configuration(server: EximServer, homes: Path) -> str:
    place = server.directory
    return f"""\
exim_user = mail
exim_group = mail
trusted_users = mail
never_users =
deliver_drop_privilege = true
primary_hostname = mx.{DOMAIN}
spool_directory = {place}/spool
log_file_path = {place}/log/exim_%s.log
pid_file_path = {place}/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {server.port}
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
acl_smtp_rcpt = recipient
acl_smtp_data = content
begin acl
recipient:
  accept domains = {DOMAIN}
  deny message = relay not permitted
content:
  accept
begin routers
homes:
  driver = accept
  domains = {DOMAIN}
  # What dsearch finds may stand in a path; the address itself may not.
  address_data = ${{lookup{{$local_part@$domain}}dsearch,filter=dir{{{homes}}}{{$value}}fail}}
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = {homes}/$address_data/Maildir
  maildir_format = true
  create_directory = true
  delivery_date_add = true
  return_path_add = true
begin retry
* * F,1h,1m
"""
