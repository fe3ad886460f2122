"""The steps of a bench run: what is put on the server, who backs it up, what changes in between."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench.changes import deliver, flag, move, one_percent
from bench.contestants import Mbsync, Restante, Restic, Round
from bench.corpus import corpus
from bench.generate import Delivery, giant, office, swarm
from bench.places import Bucket, MailServer
from bench.rows import BY_THE_BOOK, OURS, THEIRS, Figures, Row, figures
from bench.servers import dovecot

SEED = 1
MANY = "INBOX"


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

    def server(
        self, name: str, users: Sequence[str], mails: Iterable[Delivery] = ()
    ) -> AbstractContextManager[MailServer]:
        """Run a Dovecot that holds the mails for as long as the context lasts."""
        return dovecot(self.root / name, users, mails)


class Opponents:
    """mbsync, then restic over its mirror: by the book, and tuned at restic's usual and at its best compression."""

    def __init__(self, bench: Bench, name: str, which: Sequence[str] = ("restic auto", "restic max")) -> None:
        self.home = bench.root / f"{name}-others"
        self.mirrors = {tuned: Mbsync(self.home / f"mbsync-{tuned}", tuned) for tuned in {_tuned(one) for one in which}}
        self.restics = {
            one: Restic(bench.bucket, self.home / one, "max" if one == "restic max" else "auto", f"{name}-{number}")
            for number, one in enumerate(which)
        }
        for restic in self.restics.values():
            restic.start()

    def backup(self, server: MailServer) -> dict[str, Figures]:
        """Mirror, then back the mirror up; each restic is charged with the mirroring."""
        mirroring = {tuned: mbsync.pull(server) for tuned, mbsync in self.mirrors.items()}
        rounds = {one: restic.backup(self.mirrors[_tuned(one)].mirror) for one, restic in self.restics.items()}
        return {one: figures(found, before=mirroring[_tuned(one)]) for one, found in rounds.items()}

    def restore(self, bench: Bench, users: Sequence[str], expected: int) -> dict[str, Figures]:
        """Restore each repository to a directory and push that to an empty server."""
        by = {}
        for one, restic in self.restics.items():
            mbsync, out = self.mirrors[_tuned(one)], self.home / "out"
            with bench.server(f"target-{one}", users) as target:
                fetched = restic.restore(out)
                pushed = mbsync.push(target, out / mbsync.mirror.relative_to("/"))
                _same(expected, target.held())
            by[one] = figures(fetched + pushed)
            shutil.rmtree(out)
        return by

    def close(self) -> None:
        """Forget mirrors and caches."""
        shutil.rmtree(self.home)


def _tuned(contestant: str) -> bool:
    return contestant != BY_THE_BOOK


def _same(expected: int, found: int) -> None:
    if expected != found:
        raise RuntimeError(f"a restore brought back {found} of {expected} mails")


def _restante(bench: Bench, server: MailServer, name: str, *, at_once: int = 4) -> Restante:
    prefix = f"restante-{name}"
    restante = Restante(bench.bucket, bench.root / prefix, prefix, at_once)
    restante.start(server)
    return restante


def _ours(one: Round) -> dict[str, Figures]:
    return {OURS: figures(one)}


def office_rounds(bench: Bench) -> Iterator[Row]:
    """An office: first backup, nothing new, one mail in a hundred changed, full restore."""
    users = tuple(f"user{number}" for number in range(bench.size.users))
    with bench.server("office", users, office(SEED, users, bench.size.mails)) as server:
        restante, others = _restante(bench, server, "office"), Opponents(bench, "office", THEIRS)
        for step in ("first backup", "nothing new", "1 % changed"):
            if step == "1 % changed":
                one_percent(server, SEED + 1, bench.size.mails)
            yield Row("office", step, {**others.backup(server), **_ours(restante.backup())}, len(users))
        expected = server.held()
        by = others.restore(bench, users, expected)
        with bench.server("target", users) as target:
            cost = restante.restore(target)
            _same(expected, target.held())
        yield Row("office", "full restore", {**by, OURS: figures(cost)})
        others.close()


def corpus_rounds(bench: Bench, data: Path) -> Iterator[Row]:
    """Real mail, for the octets stored."""
    with bench.server("corpus", ("reader",), corpus(data, "reader", limit=bench.size.corpus)) as server:
        restante, others = _restante(bench, server, "corpus"), Opponents(bench, "corpus")
        yield Row("SpamAssassin", "first backup", {**others.backup(server), **_ours(restante.backup())})
        others.close()


def mailbox_rounds(bench: Bench) -> Iterator[Row]:
    """One large mailbox in which little happens."""
    size = bench.size
    with bench.server("large", ("reader",), swarm(SEED, "reader", MANY, size.mailbox)) as server:
        restante, others = _restante(bench, server, "large"), Opponents(bench, "large", ("restic auto",))
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
            yield Row(name, step, {**others.backup(server), **_ours(restante.backup())}, moved=moved)
        others.close()


def memory_rounds(bench: Bench) -> Iterator[Row]:
    """What could fill the memory: a huge mailbox, a huge mail, ten accounts at once."""
    size = bench.size
    many = swarm(SEED + 2, "reader", MANY, size.swarm)
    with bench.server("swarm", ("reader",), many) as server:
        restante = _restante(bench, server, "swarm")
        for step in ("first backup", "nothing new"):
            yield Row(f"mailbox of {size.swarm:,}", step, _ours(restante.backup()))
    with bench.server("giant", ("reader",), [giant(SEED, "reader", MANY, size.giant)]) as server:
        restante = _restante(bench, server, "giant")
        name = f"one mail of {size.giant // 1_000_000} MB"
        yield Row(name, "first backup", _ours(restante.backup()))
        with bench.server("giant-target", ("reader",)) as target:
            yield Row(name, "full restore", {OURS: figures(restante.restore(target))})
            _same(1, target.held())
    users = tuple(f"user{number}" for number in range(10))
    with bench.server("ten", users, office(SEED + 3, users, size.mails // 2)) as server:
        restante = _restante(bench, server, "ten", at_once=10)
        yield Row("ten accounts at once", "first backup", _ours(restante.backup()), len(users))
