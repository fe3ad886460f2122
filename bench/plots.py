"""Pictures of a run: time by contestant, stored octets by contestant, what one new mail costs by size of mailbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from PIL import Image

from bench.rows import BY_THE_BOOK, CEILINGS, OURS, Figures, Results, Row, size
from bench.scenarios import CHANGED
from bench.targets import FILES, FIRST, FULL, NOTHING, mails_of

LABELS = {
    OURS: "Restante",
    BY_THE_BOOK: "mbsync + restic",
    "restic auto": "tuned mbsync + restic",
    "restic max": "tuned mbsync + restic, max",
    "borg": "tuned mbsync + borg",
    "plain loop": "imapclient's loop, files",
}
ACCENT, PLAIN, FAINT = "#c2410c", "#64748b", "#cbd5e1"
TIMES = (("office", FIRST), ("office", NOTHING), ("office", CHANGED), ("office", FULL), ("office", FILES))
STORES = (("office", FIRST), ("SpamAssassin", FIRST))


def draw(results: Results, out: Path) -> list[Path]:
    """Write the pictures that the rows are there for; return their files."""
    rows = {(row.scenario, row.step): row for row in results.rows}
    drawn = [
        _bars(out / "time.png", [rows[key] for key in TIMES if key in rows], lambda one: one.wall, "seconds"),
        _bars(
            out / "stored.png",
            [rows[key] for key in STORES if key in rows],
            lambda one: one.octets / 1e6 if one.octets else None,
            "MB stored",
        ),
        _growth(out / "increment.png", [row for row in results.rows if row.scenario.startswith("mailbox of")]),
    ]
    return [file for file in drawn if file]


def _shown(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def _save(figure: Figure, file: Path) -> Path:
    drawn = BytesIO()
    figure.savefig(drawn, dpi=110)
    # Few colours, so that the repository stays small.
    Image.open(drawn).convert("RGB").quantize(32).save(file, optimize=True)
    return file


def _bars(file: Path, rows: Sequence[Row], value: Callable[[Figures], float | None], unit: str) -> Path | None:
    if not rows:
        return None
    heights = [len(row.by) + 1.8 for row in rows]
    figure = Figure(figsize=(7.5, 0.24 * sum(heights)), layout="constrained")
    axes = figure.subplots(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
    for row, place in zip(rows, axes, strict=True):
        _panel(place, row, value)
    axes[-1].set_xlabel(unit)
    return _save(figure, file)


def _panel(axes: Axes, row: Row, value: Callable[[Figures], float | None]) -> None:
    found = {name: shown for name, one in row.by.items() if (shown := value(one)) is not None}
    names = sorted(found, key=lambda name: found[name], reverse=True)
    colours = [ACCENT if name == OURS else FAINT if name in CEILINGS else PLAIN for name in names]
    bars = axes.barh([LABELS.get(name, name) for name in names], [found[name] for name in names], color=colours)
    axes.bar_label(bars, [_shown(found[name]) for name in names], padding=3, fontsize=8)
    axes.set_title(f"{row.scenario}: {row.step}", loc="left", fontsize=9, fontweight="bold")
    axes.tick_params(labelsize=8)
    axes.margins(x=0.1)
    axes.spines[["top", "right"]].set_visible(False)


def _growth(file: Path, rows: Sequence[Row]) -> Path | None:
    rows = [row for row in rows if row.step == "one new mail"]
    if not rows:
        return None
    figure = Figure(figsize=(7.5, 3.2), layout="constrained")
    times, octets = figure.subplots(1, 2)
    for name in dict.fromkeys(name for row in rows for name in row.by):
        there = sorted((mails_of(row.scenario), row.by[name]) for row in rows if name in row.by)
        look = {"marker": "o", "label": LABELS.get(name, name), "linewidth": 2.5 if name == OURS else 1.2}
        colour = {"color": ACCENT} if name == OURS else {}
        times.plot([at for at, _ in there], [one.wall for _, one in there], **look, **colour)
        octets.plot([at for at, _ in there], [one.octets for _, one in there], **look, **colour)
    for axes, unit in ((times, "seconds"), (octets, "stored")):
        axes.set(xscale="log", yscale="log", xlabel="mails in the mailbox", ylabel=unit)
        axes.set_title(f"one new mail: {unit}", loc="left", fontsize=9, fontweight="bold")
        axes.set_xticks(sorted({mails_of(row.scenario) for row in rows}))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:,.0f}"))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_formatter(NullFormatter())
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    times.yaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:g}"))
    octets.yaxis.set_major_formatter(FuncFormatter(lambda at, _: size(at)))
    times.legend(fontsize=7, frameon=False)
    return _save(figure, file)
