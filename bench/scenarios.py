"""The steps of a bench run: what is put on the server, who backs it up, what changes in between."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench.changes import deliver, flag, move, one_percent
from bench.contestants import Restante, Round
from bench.corpus import corpus
from bench.field import Others
from bench.generate import PROFILES, Delivery, giant, spread, swarm
from bench.places import Bucket, Folder, MailServer, Store
from bench.ready import Ceilings
from bench.rows import APPEND, BY_THE_BOOK, DRAIN, OTHERS, OURS, PREPARE, Figures, Row, figures
from bench.servers import dovecot, far_bucket, far_server

SEED = 1
MANY = "INBOX"
FARTHEST = 100
"""Milliseconds."""
OVER_TLS = " over TLS"
CHANGED = "1 % new, 1 % flagged, 1 % moved"
COMPRESSED = ("restic auto", "restic max", "borg", "mailvault")


@dataclass(frozen=True)
class Size:
    """How much of everything; `mailbox` is the largest in which others take part, `million` Restante's alone.

    `pause` is how many seconds each full restore to a server waits: for every file that is made ext4 looks at the
    inodes that were freed in the last six minutes, and a server that is sent mail frees one for each command. Restores
    to files free none, so that one pause before all of them is enough.
    """

    name: str
    users: int
    mails: int
    mailbox: int
    moved: int
    million: int
    mailboxes: int
    giant: int
    corpus: int
    pause: int = 0
    profile: str = "business"

    @property
    def label(self) -> str:
        """What the office is called: targets hold for the business mix."""
        return "office" if self.profile == "business" else f"office with {self.profile} mails"


FULL = Size("full", 10, 20_000, 100_000, 10_000, 1_000_000, 500, 100_000_000, 1_000_000, pause=360)
QUICK = Size("quick", 4, 1_200, 5_000, 100, 50_000, 50, 20_000_000, 1_000)
TINY = Size("tiny", 2, 60, 200, 10, 400, 6, 1_000_000, 40)
SIZES = {size.name: size for size in (FULL, QUICK, TINY)}


@dataclass(frozen=True)
class Bench:
    """Where a run works, and how much of it there is."""

    root: Path
    bucket: Bucket
    size: Size
    tls: bool = False

    @property
    def folder(self) -> Folder:
        """A directory as the store."""
        return Folder(self.root / "local")

    def office(self, seed: int, users: Sequence[str], mails: int) -> Iterator[Delivery]:
        """Make an office's mail after the profile that was asked for."""
        return PROFILES[self.size.profile](seed, users, mails)

    def server(
        self, name: str, users: Sequence[str], mails: Iterable[Delivery] = ()
    ) -> AbstractContextManager[MailServer]:
        """Run a Dovecot that holds the mails for as long as the context lasts."""
        return dovecot(self.root / name, users, mails, tls=self.tls)

    def restante(self, server: MailServer, store: Store, name: str, *, at_once: int = 4) -> Restante:
        """Make a vault."""
        restante = Restante(store, self.root / f"restante-{name}", f"restante-{name}", at_once)
        restante.start(server)
        return restante

    def others(self, server: MailServer, store: Store, name: str, which: Sequence[str] = OTHERS) -> Others:
        """Make everybody else's repositories and archives."""
        others = Others(self.root / f"{name}-others", store, name, which)
        others.start(server)
        return others


def same(expected: int, found: int) -> None:
    """Let no restore count that lost mail."""
    if expected != found:
        raise RuntimeError(f"a restore brought back {found} of {expected} mails")


def ours(one: Round) -> dict[str, Figures]:
    """Restante's share of a row."""
    return {OURS: figures(one)}


def users_of(count: int) -> tuple[str, ...]:
    """Name an office's people."""
    return tuple(f"user{number}" for number in range(count))


def office_rounds(bench: Bench) -> Iterator[Row]:
    """An office: first backup, nothing new, three mails in a hundred changed, full restore; everybody takes part."""
    yield from _office(bench, bench.size.label, OTHERS)


def tls_rounds(bench: Bench) -> Iterator[Row]:
    """The same office over TLS, its backups alone, beside mbsync and restic."""
    yield from _office(replace(bench, tls=True), bench.size.label + OVER_TLS, (BY_THE_BOOK, "restic auto"))


def _office(bench: Bench, label: str, which: Sequence[str]) -> Iterator[Row]:
    users, name = users_of(bench.size.users), label.replace(" ", "-")
    ceilings = Ceilings(bench.root / "ceilings")
    with bench.server(name, users, bench.office(SEED, users, bench.size.mails)) as server:
        restante = bench.restante(server, bench.folder, name)
        others = bench.others(server, bench.folder, name, which)
        for step in ("first backup", "nothing new", CHANGED):
            fresh = one_percent(server, SEED + 1, bench.size.mails) if step == CHANGED else 0
            by = {**others.backup(server), **ours(restante.backup(server))}
            if step == "first backup":
                by |= {DRAIN: figures(ceilings.drain(server)), PREPARE: figures(ceilings.prepare(server))}
            yield Row(label, step, by, len(users), fresh=fresh)
        if which == OTHERS:
            yield from _restores(bench, server, restante, others, ceilings)
        others.close()
        ceilings.close()


def _restores(
    bench: Bench, server: MailServer, restante: Restante, others: Others, ceilings: Ceilings
) -> Iterator[Row]:
    expected, users = server.held(), server.users
    out = bench.root / "out"
    time.sleep(bench.size.pause)
    by = {**others.restore_files(), OURS: figures(restante.restore_files(out))}
    same(expected, sum(1 for path in out.glob("*/**/cur/*") if path.is_file()))
    yield Row(bench.size.label, "full restore to Maildir", by)
    with ExitStack() as targets:

        def empty(name: str) -> MailServer:
            time.sleep(bench.size.pause)
            return targets.enter_context(bench.server(f"target-{name}", users))

        def held(target: MailServer) -> None:
            same(expected, target.held())

        by = others.restore(empty, held)
        target = empty(OURS)
        by[OURS] = figures(restante.restore(target))
        held(target)
        target = empty("raw")
        by[APPEND] = figures(ceilings.append(server, target))
        held(target)
        yield Row(bench.size.label, "full restore", by)
    shutil.rmtree(out)


def corpus_rounds(bench: Bench, data: Path) -> Iterator[Row]:
    """Real mail, for the octets stored."""
    with bench.server("corpus", ("reader",), corpus(data, "reader", limit=bench.size.corpus)) as server:
        restante = bench.restante(server, bench.bucket, "corpus")
        others = bench.others(server, bench.bucket, "corpus", COMPRESSED)
        yield Row("SpamAssassin", "first backup", {**others.backup(server), **ours(restante.backup(server))})
        others.close()


def mailbox_rounds(bench: Bench) -> Iterator[Row]:
    """Large mailboxes in which little happens, one ten times as large as the other."""
    for mails in (bench.size.mailbox // 10, bench.size.mailbox):
        yield from _one_mailbox(bench, mails, ("restic auto", "borg", "mailvault"))


def million_rounds(bench: Bench) -> Iterator[Row]:
    """A mailbox as large as they get, for Restante alone; then one message out of that vault, far off."""
    yield from _one_mailbox(bench, bench.size.million, (), far=True)


def _one_mailbox(bench: Bench, mails: int, which: Sequence[str], *, far: bool = False) -> Iterator[Row]:
    name, label, moved = f"mailbox-{mails}", f"mailbox of {mails:,}", bench.size.moved
    with bench.server(name, ("reader",), swarm(SEED, "reader", MANY, mails)) as server:
        restante = bench.restante(server, bench.bucket, name)
        others = bench.others(server, bench.bucket, name, which)
        for step in ("first backup", "nothing new", "one new mail", "one flag", f"{moved:,} moved"):
            _happen(server, step, mails, moved)
            by = {**others.backup(server), **ours(restante.backup(server))}
            yield Row(label, step, by, moved=moved if step.endswith(" moved") else 0)
        if far:
            yield from far_message(bench, server, restante, label)
        others.close()


def _happen(server: MailServer, step: str, mails: int, moved: int) -> None:
    match step:
        case "one new mail":
            deliver(server, swarm(SEED + 1, "reader", MANY, 1))
        case "one flag":
            flag(server, "reader", MANY, mails // 2, mails // 2)
        case "first backup" | "nothing new":
            pass
        case _:
            move(server, "reader", MANY, moved, "Moved")


def far_message(bench: Bench, server: MailServer, restante: Restante, label: str) -> Iterator[Row]:
    """Take the middle message of an INBOX out of a vault that is 100 ms off: with a warm cache, on an empty machine.

    Where the cache is warm a key file is at hand too; an empty machine has the passphrase alone.
    """
    user = server.users[0]
    with far_bucket(bench.bucket, FARTHEST) as bucket:
        restante.store = bench.bucket
        restante.configure(server)
        listed = json.loads(restante.run("ls", user, "INBOX", "--json").said)
        message = listed[len(listed) // 2]["id"]
        restante.export_key("full.key")
        restante.store = bucket
        restante.configure(server)
        for machine, env in (("warm cache", restante.key("full.key")), ("empty machine", {})):
            if machine == "empty machine":
                restante.forget()
            cost = restante.run("cat", user, message, env=env)
            yield Row(label, f"one message, {machine}, S3 at {FARTHEST} ms", {OURS: figures(cost)})


def many_rounds(bench: Bench) -> Iterator[Row]:
    """Accounts with many mailboxes in which nothing happens."""
    users = users_of(bench.size.users)
    label = f"{len(users)} accounts of {bench.size.mailboxes} mailboxes"
    with (
        bench.server("many", users, spread(SEED, users, bench.size.mailboxes)) as near,
        far_server(near, 0) as server,
    ):
        restante = bench.restante(server, bench.folder, "many")
        others = bench.others(server, bench.folder, "many", (BY_THE_BOOK, "restic auto", "borg"))
        for step in ("first backup", "nothing new"):
            yield Row(label, step, {**others.backup(server), **ours(restante.backup(server))}, len(users))
        others.close()


def memory_rounds(bench: Bench) -> Iterator[Row]:
    """What could fill the memory: a huge mail, ten accounts at once."""
    size = bench.size
    with bench.server("giant", ("reader",), [giant(SEED, "reader", MANY, size.giant)]) as server:
        restante = bench.restante(server, bench.bucket, "giant")
        name = f"one mail of {size.giant // 1_000_000} MB"
        yield Row(name, "first backup", ours(restante.backup(server)))
        with bench.server("giant-target", ("reader",)) as target:
            yield Row(name, "full restore", {OURS: figures(restante.restore(target))})
            same(1, target.held())
    users = users_of(10)
    with bench.server("ten", users, bench.office(SEED + 3, users, size.mails // 2)) as server:
        restante = bench.restante(server, bench.bucket, "ten", at_once=10)
        yield Row("ten accounts at once", "first backup", ours(restante.backup(server)), len(users))
