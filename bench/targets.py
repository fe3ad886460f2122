"""The promises that the design makes in figures, read off a run's rows.

All are bounds from above: ten times as fast is a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bench.rows import APPEND, BY_THE_BOOK, DRAIN, OURS, PREPARE, Figures, Row, Target
from bench.scenarios import CHANGED, FARTHEST, OVER_TLS

FIRST, NOTHING, FULL, FILES = "first backup", "nothing new", "full restore", "full restore to Maildir"
PATH, DIRECTORY = "path", "first backup to a directory"

SHARES = (
    ("office", FIRST, "wall", BY_THE_BOOK, 0.25),
    ("office", FIRST, "wall", "restic auto", 0.25),
    ("office", FIRST, "cpu", BY_THE_BOOK, 0.5),
    ("office", FIRST, "cpu", "restic auto", 0.5),
    ("office", FIRST, "octets", "restic max", 0.4),
    ("SpamAssassin", FIRST, "octets", "restic max", 0.52),
    ("office", CHANGED, "wall", BY_THE_BOOK, 0.15),
    ("office", CHANGED, "wall", "restic auto", 0.15),
    ("office", FILES, "wall", BY_THE_BOOK, 0.5),
    ("office", FULL, "wall", BY_THE_BOOK, 1 / 3),
    ("office", FULL, "wall", APPEND, 1 / 0.9),
    (PATH, f"{FIRST}, IMAP at 20 ms", "wall", DRAIN, 1.5),
    (PATH, f"{FIRST}, IMAP at {FARTHEST} ms", "wall", DRAIN, 1.5),
)
"""Scenario, step, figure, whose share of it we may have at most, and that share: all within one row."""


def targets(rows: Iterable[Row]) -> list[Target]:
    """Compare what was found with what was promised; steps that did not run promise nothing."""
    kept = [row for row in rows if OURS in row.by]
    found: list[Target] = []
    for row in kept:
        found += _against(row, row.by[OURS])
        found += [
            Target(f"{row.scenario}, {row.step}: {what}", limit, value)
            for what, limit, value in (*_alone(row, row.by[OURS]), *_one_message(row, row.by[OURS]))
            if value is not None
        ]
    return found + _between(kept)


Limit = tuple[str, float, float | None]


def _alone(row: Row, ours: Figures) -> Iterator[Limit]:
    match row.step:
        case "nothing new":
            yield "round trips an account", 5, ours.round_trips
            yield "objects written", 1, ours.objects
            yield "octets written", 1024 + 100 * row.accounts, ours.octets
        case "one new mail":
            yield "octets written", 40 * 1024, ours.octets
            yield "round trips", 9, ours.round_trips
        case "one flag":
            yield "octets written", 10 * 1024, ours.octets
        case "first backup" if ours.objects is not None and ours.octets is not None:
            allowed = ours.octets / (12 << 20) + 4 + row.accounts
            yield "objects written, of one per 12 MiB, four, one an account", allowed, ours.objects
        case _ if row.moved and ours.linked is not None:
            yield "bodies fetched though the vault has them", 0, row.moved - ours.linked
        case _ if row.fresh and ours.downloaded is not None:
            yield "octets fetched, share of the new mail", 1.05, ours.downloaded / row.fresh
        case _:
            pass
    yield "peak memory, MiB", 300, ours.peak


def _one_message(row: Row, ours: Figures) -> Iterator[Limit]:
    if not row.step.startswith("one message") or ours.store is None:
        return
    requests, mebibytes = (3, 2) if "warm" in row.step else (40, 40)
    yield "requests", requests, ours.store.requests
    yield "MiB over the line", mebibytes, (ours.store.sent + ours.store.received) / (1 << 20)


def _against(row: Row, ours: Figures) -> Iterator[Target]:
    plain = row.scenario.removesuffix(OVER_TLS)
    for scenario, step, what, name, share in SHARES:
        them = row.by.get(name)
        if (scenario, step) == (plain, row.step) and them is not None:
            yield _share(f"{row.scenario}, {step}: {what}, share of {name}", share, ours, them, what)
    if (plain, row.step) == ("office", FIRST) and {DRAIN, PREPARE} <= row.by.keys():
        slower = max(row.by[DRAIN], row.by[PREPARE], key=lambda one: one.wall)
        yield _share(f"{row.scenario}, {FIRST}: wall, share of the slower ceiling", 1 / 0.6, ours, slower)
    if row.step == NOTHING and "mailboxes" in row.scenario and BY_THE_BOOK in row.by:
        yield _share(f"{row.scenario}, {NOTHING}: wall, share of {BY_THE_BOOK}", 0.05, ours, row.by[BY_THE_BOOK])


def _share(promise: str, limit: float, ours: Figures, them: Figures, what: str = "wall") -> Target:
    return Target(promise, limit, float(getattr(ours, what)) / float(getattr(them, what)))


def _between(rows: list[Row]) -> list[Target]:
    ours = {(row.scenario, row.step): row.by[OURS] for row in rows}
    far = f"{FIRST}, S3 at {FARTHEST} ms"
    pairs = [
        (f"{PATH}, {far}: wall, share of that to a directory", 1.3, (PATH, far), (PATH, DIRECTORY)),
        ("office, full restore to Maildir: wall, share of that over IMAP", 0.1, ("office", FILES), ("office", FULL)),
    ]
    by_size = sorted({row.scenario for row in rows if row.scenario.startswith("mailbox of")}, key=mails_of)
    for step in ("one new mail", "one flag") if len(by_size) > 1 else ():
        promise = f"{by_size[-1]}, {step}: wall, share of that in a {by_size[0]}"
        pairs.append((promise, 3, (by_size[-1], step), (by_size[0], step)))
    return [_share(promise, limit, ours[a], ours[b]) for promise, limit, a, b in pairs if a in ours and b in ours]


def mails_of(scenario: str) -> int:
    """Read how many mails a `mailbox of 1,000` holds."""
    return int(scenario.rpartition(" ")[2].replace(",", ""))
