"""What a bench run found, as plain data and as tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import msgspec

from bench.contestants import Round
from bench.delay import Traffic
from bench.measure import Cost


@dataclass(frozen=True)
class Figures:
    """One contestant's figures for one step; None where nobody counted.

    `round_trips`, `downloaded` and `linked` are what Restante says itself; `mail` and `store` what went over a line.
    """

    wall: float
    cpu: float
    peak: float
    octets: int | None = None
    objects: int | None = None
    puts: int | None = None
    round_trips: int | None = None
    downloaded: int | None = None
    linked: int | None = None
    mail: Traffic | None = None
    store: Traffic | None = None


def figures(result: Round | Cost, *, before: Cost | None = None) -> Figures:
    """Make figures of a round or a cost, `before` being what had to run first."""
    cost = result if isinstance(result, Cost) else result.cost
    cost = before + cost if before else cost
    found = Figures(cost.wall, cost.cpu, cost.peak, mail=cost.mail, store=cost.store)
    if isinstance(result, Cost):
        return found
    found = replace(found, octets=result.added.octets, objects=result.added.objects)
    accounts = result.report.get("accounts")
    if not accounts:
        return found
    return replace(
        found,
        puts=result.report["store_puts"],
        round_trips=max(one["round_trips"] for one in accounts),
        downloaded=sum(one["downloaded_bytes"] for one in accounts),
        linked=sum(one["linked_messages"] for one in accounts),
    )


@dataclass(frozen=True)
class Row:
    """One step of one scenario, by contestant: how many accounts, how many mails moved, octets of new mail."""

    scenario: str
    step: str
    by: dict[str, Figures]
    accounts: int = 1
    moved: int = 0
    fresh: int = 0


@dataclass(frozen=True)
class Target:
    """One promise of the design: what was promised, what came out."""

    promise: str
    limit: float
    found: float

    @property
    def met(self) -> bool:
        """Whether the promise is kept."""
        return self.found <= self.limit


@dataclass
class Results:
    """All of a run."""

    about: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    @classmethod
    def read(cls, text: str) -> Results:
        """Read what `plain` wrote."""
        rows = [msgspec.convert(row, Row) for row in json.loads(text)["rows"]]
        return cls({}, rows)

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {**asdict(self), "targets": [{**asdict(one), "met": one.met} for one in self.targets]}


def size(octets: float) -> str:
    """Write octets so that they can be compared at a glance."""
    if octets < 10_000:
        return f"{octets:.0f} B"
    return f"{octets / 1e3:.0f} KB" if octets < 1e6 else f"{octets / 1e6:.1f} MB"


def _ratio(ours: float | None, theirs: float | None) -> str:
    return "–" if ours is None or not theirs else f"{ours / theirs:.2f}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = "|" + "---|" * len(head)
    return "\n".join(["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(line) + " |" for line in lines)])


OURS = "restante"
BY_THE_BOOK = "by the book"
"""`mbsync -a`, then `restic backup`, with nothing set but where things lie."""
MIRRORED = (BY_THE_BOOK, "restic auto", "restic max", "borg")
DIRECT = ("mailvault", "plain loop")
OTHERS = (*MIRRORED, *DIRECT)
DRAIN, PREPARE, APPEND = "raw drain", "prepare alone", "raw MULTIAPPEND"
CEILINGS = (DRAIN, PREPARE, APPEND)
"""No contestants: what wire and machine give at best."""


def ratios(results: Results) -> str:
    """Restante's figures as shares of each other contestant's, wall, CPU and stored: below 1 is less."""
    names = [name for name in (*OTHERS, *CEILINGS) if any(name in row.by for row in results.rows)]
    lines = []
    for row in results.rows:
        ours = row.by.get(OURS)
        cells = [_shares(ours, row.by[name]) if ours and name in row.by else "–" for name in names]
        if set(cells) - {"–"}:
            lines.append([f"{row.scenario}: {row.step}", *cells])
    return _table(["wall / CPU / stored, as shares of", *names], lines)


def _shares(ours: Figures, them: Figures) -> str:
    pairs = [(ours.wall, them.wall), (ours.cpu, them.cpu), (ours.octets, them.octets)]
    return " / ".join(_ratio(*pair) for pair in pairs)


HEAD = "step|by|wall s|CPU s|peak MiB|stored|objects|PUTs|round trips|fetched|IMAP turns|S3 requests|S3 octets"


def absolute(results: Results) -> str:
    """All figures as they were: they hold for this machine only."""
    lines = [
        [f"{row.scenario}: {row.step}", name, *_cells(one)] for row in results.rows for name, one in row.by.items()
    ]
    return _table(HEAD.split("|"), lines)


def _cells(one: Figures) -> list[str]:
    octets = [None if count is None else size(count) for count in (one.octets, one.downloaded)]
    over = one.store.sent + one.store.received if one.store else None
    cells = [
        f"{one.wall:.1f}",
        f"{one.cpu:.1f}",
        f"{one.peak:.0f}",
        octets[0],
        one.objects,
        one.puts,
        one.round_trips,
        octets[1],
        one.mail.turns if one.mail else None,
        one.store.requests if one.store else None,
        size(over) if over is not None else None,
    ]
    return ["–" if cell is None else str(cell) for cell in cells]


def promises(results: Results) -> str:
    """Each target of the design, and whether this run met it."""
    lines = [
        [one.promise, f"{one.limit:g}", f"{one.found:.3g}", "yes" if one.met else "**no**"] for one in results.targets
    ]
    return _table(["promise", "at most", "found", "met"], lines)
