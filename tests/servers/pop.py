"""A Dovecot that speaks POP3 beside IMAP."""

from __future__ import annotations

import socket

from backup import SourceAccount
from imap.model import Login
from imap.url import parse_url
from tests.servers.dovecot import DovecotServer
from tests.servers.process import free_ports


class PopDovecot:
    """The server behind `imap`, with two more ports."""

    def __init__(self) -> None:
        self.port, self.tls_port = free_ports(2)
        listeners = (("pop3", f"port = {self.port}"), ("pop3s", f"port = {self.tls_port}\n ssl = yes"))
        listening = "".join(f"inet_listener {name} {{\n {told}\n }}\n " for name, told in listeners)
        service = f"service pop3-login {{\n chroot =\n service_count = 0\n {listening}}}\n"
        self.imap = DovecotServer.start(extra=f"protocols = imap pop3\n{service}")

    def told(self, user: str, count: int) -> list[bytes]:
        """Return the first messages as the server sends them, with none of our own code between.

        Dovecot gives every line CRLF, and the last one an end (RFC 1939 §3 wants both).
        """
        with socket.create_connection(("127.0.0.1", self.port), 30) as sock, sock.makefile("rb") as reader:

            def ask(command: str) -> None:
                sock.sendall(command.encode() + b"\r\n")
                assert reader.readline().startswith(b"+OK")

            reader.readline()
            ask(f"USER {user}")
            ask(f"PASS {self.imap.password(user)}")
            found = []
            for number in range(count):
                ask(f"RETR {number + 1}")
                lines = iter(reader.readline, b".\r\n")
                found.append(b"".join(line.removeprefix(b".") for line in lines))
            return found

    def url(self, user: str) -> str:
        """Return the account's URL, plain text."""
        return f"pop3://{user}@127.0.0.1:{self.port}?tls=off"

    def source(self, user: str, url: str = "") -> SourceAccount:
        """Return what to back up."""
        return SourceAccount(user, parse_url(url or self.url(user)), Login(lambda: self.imap.password(user)))
