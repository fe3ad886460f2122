"""An IMAP server as target: several connections; a batch whose answer was lost is looked for before it goes again."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal, TypeVar

from imap.append import AppendInterrupted
from imap.belongings import SERVER
from imap.errors import ConnectionLost, ImapError, Refused, Throttled
from imap.model import Appended, Endpoint, Login, Namespace, Namespaces, Outgoing
from imap.names import encode_name
from imap.session import Session, open_session
from restore.errors import MailboxRefused
from restore.fingerprint import identity
from restore.model import Alteration, Levels, Placed, PlannedMailbox, ReadBack, Replay, Survey, TargetMailbox
from restore.plan import INBOX, other_names, target_name
from restore.targets.imap_beside import give_metadata, give_rights, keeping
from restore.targets.imap_box import (
    Box,
    complete_flags,
    fingerprints,
    kept_flags,
    levels_of,
    placed_as,
    read_window,
    too_large,
    windows_of,
)

ResultT = TypeVar("ResultT")

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
# So often a connection may break at a message in a batch, and in all, before the message is taken for the cause.
_BREAKS_TOGETHER, _BREAKS = 2, 4


class ImapTarget:
    """One account on an IMAP server. `patience` bounds the seconds that a lost connection is waited for."""

    known_by: Literal["fingerprint"] = "fingerprint"

    def __init__(
        self, endpoint: Endpoint, login: Login, *, connections: int = 2, patience: float = 300, timeout: float = 60
    ) -> None:
        self.connections = connections
        self.also: tuple[str, ...] = ()
        """Flags that every message gets beside its own, where the server keeps them."""
        self._endpoint = endpoint
        self._login = login
        self._patience = patience
        self._timeout = timeout
        self._idle: list[Session] = []
        self._lock = threading.Lock()
        self._boxes: dict[Levels, Box] = {}
        self._namespaces = Namespaces((Namespace(b"", None),))
        self._ever_connected = False

    @property
    def url(self) -> str:
        """The server and account, for reports."""
        scheme = "imaps" if self._endpoint.tls == "implicit" else "imap"
        return f"{scheme}://{self._endpoint.account}@{self._endpoint.host}:{self._endpoint.port}"

    def survey(self) -> Survey:
        """List what is there, in levels without the server's separator and prefix."""
        listed = self._patiently(Session.look)
        self._namespaces = self._patiently(Session.namespaces)
        prefix = self._namespaces.personal[0].prefix.decode("latin-1")
        found = []
        for mailbox in listed:
            if mailbox.status is not None:
                levels = levels_of(mailbox, prefix)
                found.append(TargetMailbox(levels, mailbox.special_use, mailbox.status.messages, mailbox.namespace))
        keeps = self._patiently(lambda session: keeping(session.capabilities))
        return Survey(
            tuple(found), tuple(self._patiently(Session.quotas)), frozenset(self._namespaces.by_kind()), keeps
        )

    def prepare(self, planned: PlannedMailbox) -> list[Alteration]:
        """Make the mailbox, with escaped characters where the server won't have the plain name."""
        space = self._namespaces.by_kind()[planned.namespace][0]
        prefix, delimiter = space.prefix.decode("latin-1"), space.delimiter
        # In a namespace of others the first level is only our word for it.
        levels = planned.levels[1:] if planned.namespace else planned.levels
        name, escaped = target_name(levels, prefix, delimiter)
        notes = [f"its name becomes {name}"] if escaped else []
        if planned.create and planned.levels != INBOX:
            names = dict.fromkeys((name, *other_names(levels, prefix, delimiter)))
            made = self._patiently(lambda session: _create(session, list(names), planned))
            notes += [f"its name becomes {made}"] if made != name else []
            name = made
            notes += self._patiently(lambda session: _lost_role(session, name, planned.special_use))
        if planned.subscribe:
            notes += self._patiently(lambda session: _subscribe(session, name))
        raw = encode_name(name)
        if any(box.raw == raw and levels != planned.levels for levels, box in self._boxes.items()):
            raise MailboxRefused(f"another mailbox is {name} there already", hint="map one of the two with --map")
        self._boxes[planned.levels] = Box(raw)
        notes += self._patiently(lambda session: give_metadata(session, raw, planned.metadata))
        notes += self._patiently(lambda session: give_rights(session, raw, planned.acl))
        return [Alteration(planned.name, None, note) for note in notes]

    def annotate_server(self, metadata: Sequence[tuple[str, bytes]]) -> list[Alteration]:
        """Set annotations of the whole server; say which could not be."""
        notes = self._patiently(lambda session: give_metadata(session, SERVER, metadata))
        return [Alteration("", None, f"the server's annotations: {note}") for note in notes]

    def present(self, planned: PlannedMailbox) -> Counter[bytes]:
        """Count the fingerprints of what the mailbox holds."""
        box = self._boxes[planned.levels]

        def count(session: Session) -> None:
            opened = session.select(box.raw)
            if opened.cut_to:
                raise Refused(f"the server shows only {opened.cut_to:,} messages of it: what it holds can't be told")
            box.permanent = frozenset(map(str.lower, opened.permanent_flags))
            box.first_new = box.next_new = opened.uidnext or 1
            box.held = fingerprints(session, opened)
            # Dovecot's memory grows with every message that another connection stores in a mailbox we have open.
            session.unselect()

        self._patiently(count)
        return box.held.copy()

    def append(self, planned: PlannedMailbox, batch: Sequence[Replay]) -> list[Placed]:
        """Store a batch; after a lost connection, count what arrived before sending the rest again."""
        box = self._boxes[planned.levels]
        limit = self._limit()
        kept_back = [too_large(len(replay.octets), limit, box) for replay in batch]
        placed = iter(self._store(box, [replay for replay, back in zip(batch, kept_back, strict=True) if not back]))
        return [back or next(placed) for back in kept_back]

    def _limit(self) -> int | None:
        return self._patiently(lambda session: session.append_limit)

    def _store(self, box: Box, batch: Sequence[Replay]) -> list[Placed]:
        results: list[Placed] = []
        waits = _Waits(self._patience)
        breaks, singly = 0, False
        while len(results) < len(batch):
            start = len(results)
            try:
                results += self._send(box, batch[start : start + 1] if singly else batch[start:])
            except _CutShort as broken:
                results += broken.placed
                waits.wait(broken.cause)
                results += self._arrived(box, batch[len(results) :], waits)
                breaks = breaks + 1 if len(results) == start and broken.cause.wait is None else 0
                singly = singly or breaks >= _BREAKS_TOGETHER
                if breaks >= _BREAKS:
                    results.append(Placed(f"whenever it is sent, {broken.cause.message}"))
                    breaks, waits = 0, _Waits(self._patience)
            except ImapError as error:
                waits.wait(error)
        return results

    def _send(self, box: Box, batch: Sequence[Replay]) -> list[Placed]:
        """Send a batch and count what is stored, before anybody counts what the server holds."""
        outgoing = [
            Outgoing(
                r.octets,
                kept_flags((*r.flags, *(flag for flag in self.also if flag not in r.flags)), box),
                r.row.internaldate,
            )
            for r in batch
        ]
        cause: AppendInterrupted | None = None
        first = box.next_new
        with box.gate.shared():
            try:
                with self._session() as session:
                    done: Sequence[Appended] = session.append(box.raw, outgoing)
            except AppendInterrupted as broken:
                cause, done = broken, broken.done
            with box.lock:
                stored = zip(done, batch, strict=False)
                box.held.update(identity(replay.octets) for result, replay in stored if result.error is None)
        lost = self._flag_again(box, list(zip(done, batch, strict=False)), first)
        placed = [placed_as(result, replay.flags, box, lost) for result, replay in zip(done, batch, strict=False)]
        full = [len(replay.octets) for one, replay in zip(placed, batch, strict=False) if one.over_quota]
        box.no_room_for = min((*full, box.no_room_for or full[0])) if full else box.no_room_for
        if cause is not None:
            raise _CutShort(cause, placed)
        return placed

    def _flag_again(self, box: Box, stored: Sequence[tuple[Appended, Replay]], first: int) -> str:
        """Give flags by STORE where the server forgets them in APPEND; say why that failed, if it did."""
        if not stored:
            return ""
        try:
            self._patiently(lambda session: complete_flags(session, box, stored, first))
        except (Refused, ConnectionLost, Throttled) as error:
            return error.message
        return ""

    def _arrived(self, box: Box, batch: Sequence[Replay], waits: _Waits) -> list[Placed]:
        """After a lost answer: say which of the next messages arrived all the same, up to the first that did not."""
        with box.gate.exclusive():
            now = self._patiently(lambda session: fingerprints(session, session.select(box.raw)), waits)
            arrived = []
            for replay in batch:
                key = identity(replay.octets)
                if now[key] <= box.held[key]:
                    break
                box.held[key] += 1
                arrived.append((Appended(None), replay))
        lost = self._flag_again(box, arrived, box.first_new)
        return [placed_as(result, replay.flags, box, lost) for result, replay in arrived]

    def read_back(self, planned: PlannedMailbox) -> Iterator[ReadBack]:
        """Yield all messages of a mailbox."""
        raw = self._boxes[planned.levels].raw
        for window in self._patiently(lambda session: windows_of(session, raw)):
            yield from self._patiently(partial(read_window, raw=raw, window=window))

    def close(self) -> None:
        """Log out everywhere."""
        with self._lock:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    def _patiently(self, work: Callable[[Session], ResultT], waits: _Waits | None = None) -> ResultT:
        """Do what may be done twice, again and again while a new connection may help."""
        waits = waits or _Waits(self._patience)
        while True:
            try:
                with self._session() as session:
                    return work(session)
            except ImapError as error:
                if not self._ever_connected:
                    raise
                waits.wait(error)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """Lend a session; one that broke is not taken back."""
        with self._lock:
            session = self._idle.pop() if self._idle else None
        if session is None:
            session = open_session(self._endpoint, self._login, timeout=self._timeout)
            self._ever_connected = True
        try:
            yield session
        except BaseException as error:
            if isinstance(error, Refused):
                self._give_back(session)
            else:
                session.close()
            raise
        self._give_back(session)

    def _give_back(self, session: Session) -> None:
        with self._lock:
            self._idle.append(session)


class _CutShort(Exception):
    """The connection broke in a batch; `placed` is what became of its first messages."""

    def __init__(self, cause: AppendInterrupted, placed: Sequence[Placed]) -> None:
        super().__init__(cause.message)
        self.cause = cause
        self.placed = placed


class _Waits:
    """How long we wait for a server, in all."""

    def __init__(self, patience: float) -> None:
        self._end = time.monotonic() + patience
        self._wait = _FIRST_WAIT

    def wait(self, error: ImapError) -> None:
        """Wait before another try; raise the error where it won't help, or patience is at its end."""
        wait = (error.wait if isinstance(error, Throttled | AppendInterrupted) else None) or self._wait
        if not error.retryable or time.monotonic() + wait > self._end:
            raise error
        time.sleep(wait)
        self._wait = min(_LONGEST_WAIT, self._wait * 2)


def _create(session: Session, names: Sequence[str], planned: PlannedMailbox) -> str:
    """Make a mailbox under the first of these names that the server takes."""
    refusals = []
    for name in names:
        try:
            session.create(encode_name(name), planned.special_use)
        except Refused as refused:
            refusals.append(refused.message)
            if refused.code == "NOSELECT":
                break  # no other name would make a mailbox of that level
        else:
            return name
    raise MailboxRefused(refusals[0], hint="map it to another name with --map")


def _lost_role(session: Session, name: str, role: str | None) -> list[str]:
    """Say that a mailbox just made did not get its special use: some servers give it by name, or not at all."""
    kept = role is None or (session.role(encode_name(name)) or "").lower() == role.lower()
    return [] if kept else [f"the server does not keep its role {role}"]


def _subscribe(session: Session, name: str) -> list[str]:
    try:
        session.subscribe(encode_name(name))
    except Refused as refused:
        return [f"can't be subscribed: {refused.message}"]
    return []
