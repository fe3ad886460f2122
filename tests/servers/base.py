"""What all server fixtures share: a process with data of its own, and for mail servers accounts and their addresses."""

from __future__ import annotations

import os
import secrets
import shutil
import smtplib
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from tests.secret import new_secret
from tests.servers.certificate import Certificate
from tests.servers.process import Server
from tests.servers.wire import RawImap

DOMAIN = "example.test"


@dataclass(frozen=True)
class User:
    """One account of a test server."""

    name: str
    password: str = field(repr=False)


@dataclass
class DataServer:
    """A server whose data lie below `directory` and outlive its process."""

    directory: Path
    port: int
    _server: Server = field(init=False, repr=False)

    def stop(self) -> None:
        """End the server; what it stored stays."""
        self._server.stop()

    def kill(self) -> None:
        """End the server at once, as a power cut does."""
        self._server.kill()

    def restart(self) -> None:
        """End the server if it runs, and start it again on the same ports with the same data."""
        self._server.stop()
        self._server.start()

    def pause(self) -> None:
        """Fall silent until it is ended: connections stay, answers don't come."""
        self._server.pause()

    def remove(self) -> None:
        """End the server and delete its data."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


@dataclass
class ImapServer(DataServer):
    """A mail server. `port` takes plain text; `new_user` makes accounts that can log in at once."""

    users: dict[str, str] = field(default_factory=dict, repr=False, kw_only=True)

    def new_user(self, name: str | None = None) -> User:
        """Make an empty account with a random password, under a random name unless one is given."""
        user = User(name or self._new_name(), new_secret())
        self.users[user.name] = user.password
        self._add(user)
        return user

    def password(self, user: str) -> str:
        """Return the user's password."""
        return self.users[user]

    def url(self, user: str) -> str:
        """Return the account's URL, plain text."""
        return f"imap://{quote(user)}@127.0.0.1:{self.port}?tls=off"

    def open(self, user: str) -> RawImap:
        """Log in on a bare socket, to look at or fill the account with none of our own code."""
        return RawImap(self.port, user, self.users[user])

    def _new_name(self) -> str:
        return f"user-{secrets.token_hex(4)}@{DOMAIN}"

    def _add(self, user: User) -> None:
        raise NotImplementedError


@dataclass
class HomeServer(ImapServer):
    """A mail server that keeps each account's mail below a home of its own, as files of the user `mail`."""

    def home(self, user: str) -> Path:
        """Return the directory under which the user's mail lies."""
        return self.directory / "home" / user

    def wipe(self, user: str) -> None:
        """Lose all mail of one user, as a server does that was rebuilt."""
        shutil.rmtree(self.home(user))
        self._make_home(user)

    def own(self, path: Path) -> None:
        """Give a directory tree below a home to the user whose processes read mail."""
        for each in (path, *path.rglob("*")):
            self.own_one(each)

    def own_one(self, path: Path) -> None:
        """Give one file or directory to the user whose processes read mail."""
        if os.geteuid() == 0:
            shutil.chown(path, "mail", "mail")

    def _make_home(self, user: str) -> None:
        self.home(user).mkdir(parents=True)
        self.own_one(self.home(user))


@dataclass
class TlsServer(ImapServer):
    """A mail server that speaks TLS too."""

    tls_port: int
    certificate: Certificate

    @property
    def ca(self) -> Path:
        """The PEM file of the authority that vouches for the server."""
        return self.certificate.ca

    def starttls_url(self, user: str) -> str:
        """Return the account's URL for STARTTLS, trusting the server's authority."""
        return f"imap://{quote(user)}@127.0.0.1:{self.port}?ca={self.ca}"

    def imaps_url(self, user: str) -> str:
        """Return the account's URL over TLS, trusting the server's authority."""
        return f"imaps://{quote(user)}@127.0.0.1:{self.tls_port}?ca={self.ca}"


@dataclass
class Mailer(DataServer):
    """A mail transfer agent on loopback that takes mail for `example.test` and hands it to a mail server."""

    def story(self) -> str:
        """Return what its logs tell, for a mail that does not arrive."""
        return self._server.story()

    def send(self, recipient: str, octets: bytes) -> None:
        """Hand in one mail by SMTP, as the world would. Raises SMTPException when it is not taken."""
        with smtplib.SMTP("127.0.0.1", self.port, local_hostname="client.example.test", timeout=30) as smtp:
            address = recipient if "@" in recipient else f"{recipient}@{DOMAIN}"
            smtp.sendmail(f"sender@{DOMAIN}", [address], octets)
