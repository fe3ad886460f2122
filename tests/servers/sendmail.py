"""Sendmail, appending mail to mbox files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
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

PREFIX = UNPACKED / "sendmail"


@dataclass
class SendmailServer(Mailer):
    """A running Sendmail. It waits a minute for a host without a full name, so it gets one in namespaces of its own."""

    @classmethod
    def start(cls, files: Mapping[str, Path]) -> Self:
        """Start an instance; `files` gives each address its mbox file, made if need be. Raises ServerMissing, …."""
        program = find_program(str(PREFIX / "usr/libexec/sendmail/sendmail"), "/usr/libexec/sendmail/sendmail")
        places = (PREFIX / "usr/share/sendmail/cf", Path("/usr/share/sendmail/cf"))
        macros = next((place for place in places if place.is_dir()), None)
        if program is None or macros is None:
            raise ServerMissing("sendmail")
        need_namespaces("sendmail")
        server = cls(new_directory("sendmail"), free_ports(1)[0])
        server._lay_out(macros, files)
        environment = {"PATH": os.environ.get("PATH", "")}
        run = [str(server.directory / "run.sh"), program, "-C", str(server.directory / "etc" / "sendmail.cf")]
        apart = ["--mount", "--uts"]
        subprocess.run(["unshare", *apart, *run, "-bi"], check=True, capture_output=True, env=environment)
        log = server.directory / "log" / "start.log"
        server._server = Server([*run, "-bD", "-q1m"], [server.port], log, environment, apart=apart)
        server._server.start()
        return server

    def _lay_out(self, macros: Path, files: Mapping[str, Path]) -> None:
        for name, mode in (("etc", 0o755), ("queue", 0o700), ("log", 0o755)):
            (self.directory / name).mkdir(mode=mode)
        etc = self.directory / "etc"
        lines = [f"{address.partition('@')[0]}: {path}\n" for address, path in files.items()]
        (etc / "aliases").write_text("".join(["postmaster: /dev/null\n", "MAILER-DAEMON: postmaster\n", *lines]))
        (etc / "service.switch").write_text("hosts files\naliases files\n")
        (etc / "hosts").write_text(f"127.0.0.1 mx.{DOMAIN} localhost\n")
        (etc / "sendmail.mc").write_text(_macros(self))
        command = ["m4", f"-D_CF_DIR_={macros}/", "m4/cf.m4", str(etc / "sendmail.mc")]
        made = subprocess.run(command, cwd=macros, check=True, capture_output=True)
        (etc / "sendmail.cf").write_bytes(made.stdout)
        script = self.directory / "run.sh"
        script.write_text(f'#!/bin/sh\nset -e\nmount --bind {etc}/hosts /etc/hosts\nhostname mx.{DOMAIN}\nexec "$@"\n')
        script.chmod(0o755)


def _macros(server: SendmailServer) -> str:
    place = server.directory
    careless = "TrustStickyBit,AssumeSafeChown,GroupWritableDirPathSafe,InsufficientEntropy"
    return f"""\
divert(0)dnl
VERSIONID(`test')dnl
OSTYPE(`linux')dnl
define(`ALIAS_FILE', `{place}/etc/aliases')dnl
define(`QUEUE_DIR', `{place}/queue')dnl
define(`STATUS_FILE', `{place}/log/statistics')dnl
define(`confPID_FILE', `{place}/sendmail.pid')dnl
define(`confDEF_USER_ID', `mail:mail')dnl
define(`confDOMAIN_NAME', `mx.{DOMAIN}')dnl
define(`confTO_IDENT', `0')dnl
define(`confDONT_PROBE_INTERFACES', `True')dnl
define(`confDONT_BLAME_SENDMAIL', `{careless}')dnl
define(`confBIND_OPTS', `-DNSRCH -DEFNAMES')dnl
define(`confSERVICE_SWITCH_FILE', `{place}/etc/service.switch')dnl
LOCAL_DOMAIN(`{DOMAIN} mx.{DOMAIN}')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`accept_unqualified_senders')dnl
FEATURE(`accept_unresolvable_domains')dnl
DAEMON_OPTIONS(`Family=inet, Name=MTA, Addr=127.0.0.1, Port={server.port}')dnl
MAILER(`local')dnl
MAILER(`smtp')dnl
"""
