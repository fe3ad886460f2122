"""What all tests share: real servers, started once per worker process, and the search for leaks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

from tests.servers import (
    CourierServer,
    CyrusServer,
    DovecotServer,
    EximServer,
    Imap4dServer,
    MiniStack,
    PostfixServer,
    RcloneS3,
    SendmailServer,
)
from tests.servers.base import DataServer

ServerT = TypeVar("ServerT", bound=DataServer)

pytest_plugins = ["tests.leaks", "pytester"]

settings.register_profile("house", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "house")


def _wanted(name: str) -> None:
    """Skip what the user left out by name; anything else that is absent fails the test."""
    left_out = os.environ.get("RESTANTE_TEST_WITHOUT", "").replace(",", " ").split()
    if name in left_out:
        pytest.skip(f"{name} is left out by RESTANTE_TEST_WITHOUT")


@pytest.fixture(scope="session")
def dovecot() -> Iterator[DovecotServer]:
    """Dovecot with Maildir. Shared: take an account of your own from `dovecot.new_user()`."""
    _wanted("dovecot")
    server = DovecotServer.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def second_dovecot() -> Iterator[DovecotServer]:
    """Another Dovecot, the usual target of restores. Shared like the first."""
    _wanted("dovecot")
    server = DovecotServer.start()
    yield server
    server.remove()


def _starter(name: str, start: Callable[..., ServerT]) -> Iterator[Callable[..., ServerT]]:
    """Yield what starts servers for one test, and remove them after it."""
    _wanted(name)
    started: list[ServerT] = []

    def begin(*arguments: object, **options: object) -> ServerT:
        started.append(start(*arguments, **options))
        return started[-1]

    yield begin
    for server in started:
        server.remove()


@pytest.fixture
def start_dovecot() -> Iterator[Callable[..., DovecotServer]]:
    """Start a Dovecot for one test, with the options of `DovecotServer.start`; for tests that stop or wipe it."""
    yield from _starter("dovecot", DovecotServer.start)


@pytest.fixture
def start_postfix() -> Iterator[Callable[[int], PostfixServer]]:
    """Start a Postfix that delivers to an LMTP port."""
    yield from _starter("postfix", PostfixServer.start)


@pytest.fixture
def start_exim() -> Iterator[Callable[[Path], EximServer]]:
    """Start an Exim that delivers to Maildirs below a directory."""
    yield from _starter("exim", EximServer.start)


@pytest.fixture
def start_sendmail() -> Iterator[Callable[[dict[str, Path]], SendmailServer]]:
    """Start a Sendmail that delivers to mbox files."""
    yield from _starter("sendmail", SendmailServer.start)


@pytest.fixture(scope="session")
def cyrus() -> Iterator[CyrusServer]:
    """Cyrus. Shared: take an account of your own from `cyrus.new_user()`."""
    _wanted("cyrus")
    server = CyrusServer.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def courier() -> Iterator[CourierServer]:
    """Courier. Shared: take an account of your own from `courier.new_user()`."""
    _wanted("courier")
    server = CourierServer.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def imap4d() -> Iterator[Imap4dServer]:
    """GNU imap4d over Maildir. Shared: take an account of your own from `imap4d.new_user()`."""
    _wanted("imap4d")
    server = Imap4dServer.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def _s3() -> Iterator[RcloneS3]:
    _wanted("rclone")
    server = RcloneS3.start()
    yield server
    server.remove()


@pytest.fixture
def s3(_s3: RcloneS3, monkeypatch: pytest.MonkeyPatch) -> RcloneS3:
    """Give a persistent S3 server, its keys in the environment. Shared: use a bucket or prefix of your own."""
    for name, value in _s3.environment.items():
        monkeypatch.setenv(name, value)
    return _s3


@pytest.fixture(scope="session")
def _ministack() -> Iterator[MiniStack]:
    _wanted("ministack")
    server = MiniStack.start()
    yield server
    server.remove()


@pytest.fixture
def locking(_ministack: MiniStack, monkeypatch: pytest.MonkeyPatch) -> MiniStack:
    """Give an S3 server with versions and Object Lock. Shared: use a bucket of your own."""
    for name, value in _ministack.environment.items():
        monkeypatch.setenv(name, value)
    return _ministack
