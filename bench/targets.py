"""The promises that the design makes in figures, read off a run's rows."""

from __future__ import annotations

from collections.abc import Iterable

from bench.rows import BY_THE_BOOK, OURS, Figures, Row, Target


def targets(rows: Iterable[Row]) -> list[Target]:
    """Compare what was found with what was promised; steps that did not run promise nothing."""
    found: list[Target] = []
    for row in rows:
        ours = row.by.get(OURS)
        if ours is not None:
            found += _alone(row, ours)
            found += _against(row, ours)
    return found


def _alone(row: Row, ours: Figures) -> list[Target]:
    where = f"{row.scenario}, {row.step}"
    limits: list[tuple[str, float, float | None]] = []
    match row.step:
        case "nothing new":
            limits += [("round trips an account", 5, ours.round_trips), ("objects written", 1, ours.objects)]
            limits += [("octets written", 1024 + 100 * row.accounts, ours.octets)]
        case "one new mail":
            limits += [("octets written", 40 * 1024, ours.octets), ("round trips", 9, ours.round_trips)]
        case "one flag":
            limits += [("octets written", 10 * 1024, ours.octets)]
        case "first backup" if ours.objects is not None and ours.octets is not None:
            allowed = ours.octets / (12 << 20) + 4 + row.accounts
            limits += [("objects written, of one per 12 MiB, four, one an account", allowed, ours.objects)]
        case _ if row.moved and ours.linked is not None:
            limits += [("bodies fetched though the vault has them", 0, row.moved - ours.linked)]
        case _:
            pass
    limits += [("peak memory, MiB", 300, ours.peak)]
    return [Target(f"{where}: {what}", limit, value) for what, limit, value in limits if value is not None]


SHARES = {
    ("office", "first backup", "octets", "restic max"): 0.45,
    ("SpamAssassin", "first backup", "octets", "restic max"): 0.55,
    ("office", "first backup", "wall", BY_THE_BOOK): 0.5,
    ("office", "first backup", "wall", "restic auto"): 0.5,
    ("office", "full restore", "wall", BY_THE_BOOK): 0.333,
    ("office", "full restore", "wall", "restic auto"): 0.333,
}


def _against(row: Row, ours: Figures) -> list[Target]:
    out = []
    for (scenario, step, what, name), share in SHARES.items():
        them = row.by.get(name)
        if (scenario, step) == (row.scenario, row.step) and them is not None:
            ratio = float(getattr(ours, what)) / float(getattr(them, what))
            out.append(Target(f"{scenario}, {step}: {what}, share of {name}", share, ratio))
    return out
