"""Coverage-guided fuzzing of every parser, by hand: `python -m tests.fuzz.harness SECONDS [NAME …]`.

It needs atheris (https://github.com/google/atheris), which nothing else here does. Each parser gets its share of the
time in a process of its own; what it learns, and what breaks it, lies below `.cache/fuzz/NAME`.
"""

from __future__ import annotations

import random
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

CORPORA = Path(".cache/fuzz")
_SEEDS = 40


def main() -> None:
    """Give each parser its share, and tell how it went."""
    from tests.fuzz.parsers import SERVER, VAULT

    seconds, names = int(sys.argv[1]), sys.argv[2:] or [*SERVER, *VAULT]
    for name in names:
        corpus = CORPORA / name.replace(" ", "-").replace("'", "")
        corpus.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.fuzz.harness", "one", name, str(corpus), f"-dict={_dictionary()}"]
        command += [f"-max_total_time={max(1, seconds // len(names))}", f"-artifact_prefix={corpus}-"]
        command += ["-rss_limit_mb=1500", "-timeout=20", "-max_len=4096", "-print_final_stats=1"]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        told = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
        words = [
            f"{name}: {'BROKEN' if done.returncode else 'sound'}",
            *told,
            *[done.stderr[-3000:]] * bool(done.returncode),
        ]
        sys.stdout.write(" ".join(words) + "\n")
        sys.stdout.flush()


def _dictionary() -> Path:
    from tests.fuzz.grammar import SPOILERS

    path = CORPORA / "words"
    words = [
        *SPOILERS,
        b"R1 OK",
        b"R2 OK",
        b"* 1 FETCH (",
        b"BODY[]",
        b"FLAGS",
        b"INTERNALDATE",
        b"* LIST ()",
        b"STATUS",
    ]
    lines = ["".join(f"\\x{octet:02x}" for octet in word) for word in words if len(word) < 100]
    path.write_text("".join(f'"{line}"\n' for line in lines))
    return path


def _one(name: str, arguments: list[str]) -> None:
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=["imap", "vault"]):
        from tests.fuzz.parsers import SERVER, VAULT
    _plant(name, Path(arguments[0]))
    atheris.Setup([sys.argv[0], *arguments], {**SERVER, **VAULT}[name].survives)
    atheris.Fuzz()


def _plant(name: str, corpus: Path) -> None:
    """Give the fuzzer some answers of good servers to begin with."""
    from tests.fuzz.grammar import CONVERSATIONS

    if name not in CONVERSATIONS:
        return
    from hypothesis import HealthCheck, Phase, given, seed, settings

    planted: list[bytes] = []

    @seed(random.randrange(1 << 30))
    @settings(max_examples=_SEEDS, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None)
    @given(CONVERSATIONS[name])
    def plant(said: tuple[object, bytes]) -> None:
        planted.append(said[1])

    plant()
    for number, octets in enumerate(planted):
        (corpus / f"seed-{number}").write_bytes(octets)


if __name__ == "__main__":
    if sys.argv[1] == "one":
        _one(sys.argv[2], sys.argv[3:])
    else:
        main()
