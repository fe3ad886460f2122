"""What a bench run found, as plain data and as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.contestants import Round
from bench.measure import Cost


@dataclass(frozen=True)
class Figures:
    """One contestant's figures for one step; None where it can't say."""

    wall: float
    cpu: float
    peak: float
    octets: int | None = None
    objects: int | None = None
    puts: int | None = None
    round_trips: int | None = None
    downloaded: int | None = None
    linked: int | None = None


def figures(result: Round | Cost, *, before: Cost | None = None) -> Figures:
    """Make figures of a round or a cost, `before` being what had to run first."""
    if isinstance(result, Cost):
        return Figures(result.wall, result.cpu, result.peak)
    cost = before + result.cost if before else result.cost
    accounts = result.report.get("accounts", [])
    trips = max((one["round_trips"] for one in accounts), default=None)
    downloaded = sum(one["downloaded_bytes"] for one in accounts) if accounts else None
    linked = sum(one["linked_messages"] for one in accounts) if accounts else None
    puts, added = result.report.get("store_puts"), result.added
    return Figures(cost.wall, cost.cpu, cost.peak, added.octets, added.objects, puts, trips, downloaded, linked)


@dataclass(frozen=True)
class Row:
    """One step of one scenario, by contestant."""

    scenario: str
    step: str
    by: dict[str, Figures]
    accounts: int = 1
    moved: int = 0


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

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {**asdict(self), "targets": [{**asdict(one), "met": one.met} for one in self.targets]}


def _cells(one: Figures | None) -> list[str]:
    if one is None:
        return ["–"] * 5
    stored = "–" if one.octets is None else size(one.octets)
    objects = "–" if one.objects is None else str(one.objects)
    return [f"{one.wall:.1f}", f"{one.cpu:.1f}", f"{one.peak:.0f}", stored, objects]


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
THEIRS = (BY_THE_BOOK, "restic auto", "restic max")


def ratios(results: Results) -> str:
    """Restante's figures as shares of each other contestant's: below 1 is less time, less memory, fewer octets."""
    head = ["step", *(f"{what}, of {name}" for name in THEIRS for what in ("wall", "CPU", "stored", "objects"))]
    lines = []
    for row in results.rows:
        ours, cells = row.by.get(OURS), []
        for name in THEIRS:
            them = row.by.get(name)
            if ours and them:
                pairs = [
                    (ours.wall, them.wall),
                    (ours.cpu, them.cpu),
                    (ours.octets, them.octets),
                    (ours.objects, them.objects),
                ]
                cells += [_ratio(*pair) for pair in pairs]
            else:
                cells += ["–"] * 4
        if set(cells) != {"–"}:
            lines.append([f"{row.scenario}: {row.step}", *cells])
    return _table(head, lines)


def absolute(results: Results) -> str:
    """All figures as they were: they hold for this machine only."""
    head = ["step", "by", "wall s", "CPU s", "peak MiB", "stored", "objects", "PUTs", "round trips", "fetched"]
    lines = []
    for row in results.rows:
        for name, one in row.by.items():
            puts = "–" if one.puts is None else str(one.puts)
            trips = "–" if one.round_trips is None else str(one.round_trips)
            fetched = "–" if one.downloaded is None else size(one.downloaded)
            lines.append([f"{row.scenario}: {row.step}", name, *_cells(one), puts, trips, fetched])
    return _table(head, lines)


def promises(results: Results) -> str:
    """Each target of the design, and whether this run met it."""
    lines = [
        [one.promise, f"{one.limit:g}", f"{one.found:.3g}", "yes" if one.met else "**no**"] for one in results.targets
    ]
    return _table(["promise", "at most", "found", "met"], lines)
