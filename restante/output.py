"""What goes to stdout: tables for people, one JSON document for scripts. And how sizes and times are told."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # most runs draw nothing
    from rich.console import Console

WIDE = 240


def stdout() -> Console:
    """Return the console for results; off a terminal it neither colours nor wraps."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDE, highlight=False, soft_wrap=False)


def stderr() -> Console:
    """Return the console for progress and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(document: Any) -> None:
    """Write one JSON document to stdout."""
    json.dump(document, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


def print_json_list(items: Iterable[Any]) -> None:
    """Write a JSON array to stdout, an item a line, each as it comes: there may be a million.

    Where an item can't be had the array stays open, so that nobody takes it for whole.
    """
    before = "["
    for item in items:
        sys.stdout.write(f"{before}\n{json.dumps(item, ensure_ascii=False)}")
        before = ","
    sys.stdout.write("[]\n" if before == "[" else "\n]\n")


def print_line(text: str = "") -> None:
    """Write one line to stdout, without markup."""
    sys.stdout.write(printable(text) + "\n")


def say(text: str) -> None:
    """Write one line to stderr, without markup."""
    sys.stderr.write(printable(text) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, numeric: Iterable[str] = ()) -> None:
    """Write a table to stdout; columns named in `numeric` are set flush right."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    right = set(numeric)
    for column in columns:
        if column in right:
            table.add_column(column, justify="right", no_wrap=True)
        else:
            table.add_column(column, overflow="fold", min_width=len(column))
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    stdout().print(table)


def printable(text: str) -> str:
    """Return text that can't move the cursor: mail is written by strangers."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text.encode(errors="replace").decode())


def size(octets: int) -> str:
    """Return a size as people read it, e.g. `1.4 MiB`."""
    amount = float(octets)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{octets} B" if unit == "B" else f"{amount:.1f} {unit}"


def count(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun, e.g. `1 message`, `1,204 messages`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Return a duration as people read it, e.g. `0.4 s`, `3 min 20 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min"


def utc(moment: datetime | None) -> str | None:
    """Return a time as RFC 3339 in UTC, or None."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment is not None else None
