"""Sessions with accounts on real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from imap.model import Login
from imap.session import Session, open_session
from imap.url import parse_url
from tests.servers import ImapServer

Open = Callable[..., Session]


@pytest.fixture
def open_account() -> Iterator[Open]:
    """Open a session with a user of a server over plain text, closed at the test's end."""
    with ExitStack() as stack:

        def make(server: ImapServer, user: str) -> Session:
            login = Login(lambda: server.password(user))
            return stack.enter_context(open_session(parse_url(server.url(user)), login, timeout=30))

        yield make
