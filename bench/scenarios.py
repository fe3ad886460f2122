"""The steps of a bench run: what is put on the server, who backs it up, what changes in between."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench.changes import deliver, flag, move, one_percent
from bench.contestants import Restante, Round
from bench.corpus import corpus
from bench.field import Others
from bench.generate import Delivery, giant, office, swarm
from bench.places import Bucket, Folder, MailServer, Store
from bench.ready import Ceilings
from bench.rows import APPEND, DRAIN, OTHERS, OURS, PREPARE, Figures, Row, figures
from bench.servers import dovecot

SEED = 1
MANY = "INBOX"
COMPRESSED = ("restic auto", "restic max", "borg", "mailvault")


@dataclass(frozen=True)
class Size:
    """How much of everything: the office, the mailbox that changes a little, the one that must not fill memory."""

    name: str
    users: int
    mails: int
    mailbox: int
    moved: int
    swarm: int
    giant: int
    corpus: int | None


FULL = Size("full", 10, 20_000, 100_000, 10_000, 300_000, 100_000_000, None)
QUICK = Size("quick", 4, 2_000, 10_000, 1_000, 30_000, 20_000_000, 1_500)
TINY = Size("tiny", 2, 60, 200, 50, 300, 1_000_000, 40)


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
    users = users_of(bench.size.users)
    ceilings = Ceilings(bench.root / "ceilings")
    with bench.server("office", users, office(SEED, users, bench.size.mails)) as server:
        restante = bench.restante(server, bench.folder, "office")
        others = bench.others(server, bench.folder, "office")
        for step in ("first backup", "nothing new", "3 % changed"):
            fresh = one_percent(server, SEED + 1, bench.size.mails) if step == "3 % changed" else 0
            by = {**others.backup(server), **ours(restante.backup(server))}
            if step == "first backup":
                by |= {DRAIN: figures(ceilings.drain(server)), PREPARE: figures(ceilings.prepare(server))}
            yield Row("office", step, by, len(users), fresh=fresh)
        yield from _restores(bench, server, restante, others, ceilings)
        others.close()
        ceilings.close()


def _restores(
    bench: Bench, server: MailServer, restante: Restante, others: Others, ceilings: Ceilings
) -> Iterator[Row]:
    expected, users = server.held(), server.users
    out = bench.root / "out"
    by = {**others.restore_files(), OURS: figures(restante.restore_files(out))}
    same(expected, sum(1 for path in out.glob("*/**/cur/*") if path.is_file()))
    yield Row("office", "full restore to Maildir", by)
    shutil.rmtree(out)

    def empty(name: str) -> AbstractContextManager[MailServer]:
        return bench.server(f"target-{name}", users)

    by = others.restore(empty, lambda target: same(expected, target.held()))
    with empty(OURS) as target:
        by[OURS] = figures(restante.restore(target))
        same(expected, target.held())
    with empty("raw") as target:
        by[APPEND] = figures(ceilings.append(server, target))
        same(expected, target.held())
    yield Row("office", "full restore", by)


def corpus_rounds(bench: Bench, data: Path) -> Iterator[Row]:
    """Real mail, for the octets stored."""
    with bench.server("corpus", ("reader",), corpus(data, "reader", limit=bench.size.corpus)) as server:
        restante = bench.restante(server, bench.bucket, "corpus")
        others = bench.others(server, bench.bucket, "corpus", COMPRESSED)
        yield Row("SpamAssassin", "first backup", {**others.backup(server), **ours(restante.backup(server))})
        others.close()


def mailbox_rounds(bench: Bench) -> Iterator[Row]:
    """One large mailbox in which little happens."""
    size = bench.size
    with bench.server("large", ("reader",), swarm(SEED, "reader", MANY, size.mailbox)) as server:
        restante = bench.restante(server, bench.bucket, "large")
        others = bench.others(server, bench.bucket, "large", ("restic auto", "borg", "mailvault"))
        name = f"mailbox of {size.mailbox:,}"
        for step in ("first backup", "nothing new", "one new mail", "one flag", f"{size.moved:,} moved"):
            match step:
                case "one new mail":
                    deliver(server, swarm(SEED + 1, "reader", MANY, 1))
                case "one flag":
                    flag(server, "reader", MANY, size.mailbox // 2, size.mailbox // 2)
                case "first backup" | "nothing new":
                    pass
                case _:
                    move(server, "reader", MANY, size.moved, "Moved")
            moved = size.moved if step.endswith(" moved") else 0
            yield Row(name, step, {**others.backup(server), **ours(restante.backup(server))}, moved=moved)
        others.close()


def memory_rounds(bench: Bench) -> Iterator[Row]:
    """What could fill the memory: a huge mailbox, a huge mail, ten accounts at once."""
    size = bench.size
    many = swarm(SEED + 2, "reader", MANY, size.swarm)
    with bench.server("swarm", ("reader",), many) as server:
        restante = bench.restante(server, bench.bucket, "swarm")
        for step in ("first backup", "nothing new"):
            yield Row(f"mailbox of {size.swarm:,}", step, ours(restante.backup(server)))
    with bench.server("giant", ("reader",), [giant(SEED, "reader", MANY, size.giant)]) as server:
        restante = bench.restante(server, bench.bucket, "giant")
        name = f"one mail of {size.giant // 1_000_000} MB"
        yield Row(name, "first backup", ours(restante.backup(server)))
        with bench.server("giant-target", ("reader",)) as target:
            yield Row(name, "full restore", {OURS: figures(restante.restore(target))})
            same(1, target.held())
    users = users_of(10)
    with bench.server("ten", users, office(SEED + 3, users, size.mails // 2)) as server:
        restante = bench.restante(server, bench.bucket, "ten", at_once=10)
        yield Row("ten accounts at once", "first backup", ours(restante.backup(server)), len(users))
