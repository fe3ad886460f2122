"""A Dovecot with ManageSieve beside its IMAP."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.servers.base import ImapServer, User
from tests.servers.dovecot import DovecotServer
from tests.servers.process import free_ports
from tests.servers.rawsieve import RawSieve


class SievePlace(NamedTuple):
    """A mail server and the port of its ManageSieve."""

    server: ImapServer
    port: int

    @property
    def url(self) -> str:
        """Where it is, in plain text."""
        return f"sieve://127.0.0.1:{self.port}?tls=off"

    def open(self, user: User) -> RawSieve:
        """Log in on a bare socket."""
        return RawSieve(self.port, user.name, user.password)


def dovecot_with_sieve(start: Callable[..., DovecotServer]) -> SievePlace:
    """Start one."""
    (port,) = free_ports(1)
    extra = f"""
protocols = imap sieve
service managesieve-login {{
  chroot =
  inet_listener sieve {{
    port = {port}
  }}
}}
plugin {{
  sieve = file:~/sieve;active=~/.dovecot.sieve
}}
"""
    return SievePlace(start(extra=extra), port)
