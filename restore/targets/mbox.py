"""mbox as target: one file a mailbox, in the mboxrd form (RFC 4155; a `>` before each `From ` line, however quoted).

The line that parts messages carries the blob id, so that a second restore finds what the first one wrote, and `.asis`
where the line ends are the message's own, not LF as an mbox has them. A message that does not end in a newline gets
one. An mbox keeps no flags.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

from restore.model import Alteration, Levels, Placed, PlannedMailbox, ReadBack, Replay, Survey
from restore.targets.files import folder_name, keeps_no_annotations, seconds, told, with_unix_ends

_QUOTE = re.compile(rb"^(>*From )", re.MULTILINE)
_UNQUOTE = re.compile(rb"^>(>*From )", re.MULTILINE)
_SEPARATOR = re.compile(rb"From ([0-9a-f]{32})@restante(\.asis)? [A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4}\n")


class MboxTarget:
    """A directory of mbox files, `Work/2024.mbox` for the mailbox Work/2024."""

    known_by: Literal["blob"] = "blob"
    connections = 1

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The target's address."""
        return f"mbox:{self._root}"

    def survey(self) -> Survey:
        """Every mailbox is made where it is needed."""
        return Survey()

    def prepare(self, planned: PlannedMailbox) -> list[Alteration]:
        """Make the file; cut off what a killed restore left half written."""
        path = self._path(planned.levels)
        with told(path), self._lock:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with path.open("ab"):
                pass
            _mend(path)
        return []

    def annotate_server(self, metadata: Sequence[tuple[str, bytes]]) -> list[Alteration]:
        """Files keep none."""
        return keeps_no_annotations(metadata)

    def present(self, planned: PlannedMailbox) -> Counter[bytes]:
        """Count the messages that an earlier restore wrote, by blob."""
        with told(self._root):
            return Counter(key for key, _ in _messages(self._path(planned.levels)))

    def append(self, planned: PlannedMailbox, batch: Sequence[Replay]) -> list[Placed]:
        """Add a batch at the end, durable before it returns."""
        path = self._path(planned.levels)
        with told(path), self._lock, path.open("ab") as file:
            for replay in batch:
                _write(file, replay)
            file.flush()
            os.fsync(file.fileno())
        return [Placed(altered=_lost(replay)) for replay in batch]

    def read_back(self, planned: PlannedMailbox) -> Iterator[ReadBack]:
        """Yield what the file holds."""
        for _, octets in _messages(self._path(planned.levels)):
            yield ReadBack(octets, None, None)

    def _path(self, levels: Levels) -> Path:
        return self._root / (folder_name(levels) + ".mbox")

    def close(self) -> None:
        """Nothing is held."""


def _write(file: BinaryIO, replay: Replay) -> None:
    moment = time.asctime(time.gmtime(max(seconds(replay.row), 0)))
    content = with_unix_ends(replay.octets)
    asis = ".asis" if content == replay.octets else ""
    file.write(f"From {replay.row.blob.hex()}@restante{asis} {moment}\n".encode())
    file.write(_QUOTE.sub(rb">\1", content))
    file.write(b"\n" if content.endswith(b"\n") else b"\n\n")


def _lost(replay: Replay) -> tuple[str, ...]:
    flags = (f"an mbox keeps no {' '.join(replay.flags)}",) if replay.flags else ()
    return flags if replay.octets.endswith(b"\n") else (*flags, "an mbox adds a newline at the end")


def _messages(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield blob id (hex) and octets of each message, one in memory at a time."""
    key, asis = b"", False
    lines: list[bytes] = []
    with path.open("rb") as file:
        for line in file:
            if match := _SEPARATOR.fullmatch(line):
                if key:
                    yield key, _octets(lines, asis=asis)
                key, asis, lines = match[1], bool(match[2]), []
            else:
                lines.append(line)
    if key:
        yield key, _octets(lines, asis=asis)


def _octets(lines: list[bytes], *, asis: bool) -> bytes:
    content = _UNQUOTE.sub(rb"\1", b"".join(lines)[:-1])
    return content if asis or b"\r\n" in content else content.replace(b"\n", b"\r\n")


def _mend(path: Path) -> None:
    """Cut a last message that was not written to its end: a whole one ends in an empty line."""
    size = path.stat().st_size
    with path.open("rb+") as file:
        file.seek(max(0, size - 2))
        if not size or file.read() == b"\n\n":
            return
        file.seek(0)
        last = at = 0
        for line in file:
            if _SEPARATOR.fullmatch(line):
                last = at
            at += len(line)
        file.truncate(last)
