"""A small IMAP server inside this process, for the demo: pymap's in-memory backend on loopback."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxyprotocol.reader import ProxyProtocolReader
from pymap.backend.dict import Config, Login
from pymap.backend.dict.filter import FilterSet
from pymap.backend.dict.mailbox import MailboxData, MailboxSet
from pymap.imap import IMAPServer
from pymap.listtree import ListEntry, ListTree
from pymap.parsing.specials.flag import Flag, Wildcard
from pymap.user import Passwords, UserMetadata

if TYPE_CHECKING:
    from pymap.parsing.specials import ObjectId

ROLES = {"Sent": b"Sent", "Drafts": b"Drafts", "Trash": b"Trash", "Archive": b"Archive", "Junk": b"Junk"}


class _KeywordMailbox(MailboxData):
    """A mailbox that says aloud what pymap does anyway: it keeps any keyword (RFC 9051 §2.3.2)."""

    @property
    def permanent_flags(self) -> frozenset[Flag]:
        return super().permanent_flags | {Wildcard}


class _RoleEntry(ListEntry):
    """A line of the listing that names the mailbox's role (RFC 6154)."""

    @property
    def attributes(self) -> Sequence[bytes]:
        role = ROLES.get(self.name)
        return [*super().attributes, *([role] if role else [])]


class _RoleTree(ListTree):
    def list_matching(self, ref_name: str, filter_: str) -> Iterable[ListEntry]:
        for entry in super().list_matching(ref_name, filter_):
            yield _RoleEntry(entry.name, entry.exists, entry.marked, entry.has_children)


class _Mailboxes(MailboxSet):
    """One user's mailboxes, with keywords and roles."""

    def __init__(self) -> None:
        super().__init__()
        self._inbox = _KeywordMailbox(self._content_cache, self._thread_cache)

    async def add_mailbox(self, name: str) -> ObjectId:
        mailbox_id = await super().add_mailbox(name)
        async with self._set_lock.write_lock():
            self._set[name] = mailbox = _KeywordMailbox(self._content_cache, self._thread_cache)
        return mailbox.mailbox_id or mailbox_id

    async def list_mailboxes(self) -> ListTree:
        async with self._set_lock.read_lock():
            return _RoleTree(self.delimiter).update("INBOX", *self._set)


class _QuietConfig(Config):
    """No look-up of this machine's name, and no announcement of it."""

    @property
    def greeting(self) -> bytes:
        return b"demo server ready"


@dataclass(frozen=True)
class DemoServer:
    """Where the server listens, and the one account that it has. Gone, mail and all, once stopped."""

    port: int
    user: str
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """The account as `restante` takes it; plain text, since it never leaves this machine."""
        return f"imap://{self.user}@127.0.0.1:{self.port}?tls=off"


async def _login(server: DemoServer) -> Login:
    args = Namespace(
        host=None, port=0, debug=False, cert=None, key=None, tls=False, proxy_protocol=None, passlib_cfg=None,
        demo_data=False, demo_user=server.user, demo_password=server.password,
    )  # fmt: skip
    config = _QuietConfig.from_args(args, reject_dnsbl=False)
    config.apply_context()
    config.set_cache[server.user] = (_Mailboxes(), FilterSet())
    login = Login(config)
    password = await Passwords(config).hash_password(server.password)
    await login.demo_user_identity.set(UserMetadata(config, server.user, password=password))
    return login


async def _serve(listener: socket.socket, server: DemoServer, running: Future[_Stop]) -> None:
    stop = asyncio.Event()
    login = await _login(server)
    reader = ProxyProtocolReader(login.config.proxy_protocol)
    accept = reader.get_callback(IMAPServer(login, login.config))
    async with await asyncio.start_server(accept, sock=listener):
        running.set_result(_Stop(asyncio.get_running_loop(), stop))
        await stop.wait()


@dataclass(frozen=True)
class _Stop:
    loop: asyncio.AbstractEventLoop
    event: asyncio.Event

    def __call__(self) -> None:
        self.loop.call_soon_threadsafe(self.event.set)


@contextmanager
def demo_server(user: str) -> Iterator[DemoServer]:
    """Run an empty server with one account on a free port of loopback, password drawn at random, until the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = DemoServer(listener.getsockname()[1], user, secrets.token_urlsafe(18))
    running: Future[_Stop] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(listener, server, running)), daemon=True)
    thread.start()
    stop = running.result(timeout=20)
    try:
        yield server
    finally:
        stop()
        thread.join(timeout=5)
