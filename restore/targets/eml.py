"""Single files as target: each message's exact octets as `.eml`, and beside them a list of flags and dates."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

from restore.model import Alteration, Levels, Placed, PlannedMailbox, ReadBack, Replay, Survey
from restore.targets.files import folder_name, keeps_no_annotations, seconds, told, write_new
from vault.model import MessageRow

LIST = "messages.jsonl"


class EmlTarget:
    """A directory; the mailbox Work/2024 becomes the folder `Work/2024`, a message `<uid>-<blob id>.eml`."""

    known_by: Literal["blob"] = "blob"
    connections = 1

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._taken: dict[Levels, set[str]] = {}

    @property
    def url(self) -> str:
        """The target's address."""
        return f"eml:{self._root}"

    def survey(self) -> Survey:
        """Every mailbox is made where it is needed."""
        return Survey()

    def prepare(self, planned: PlannedMailbox) -> list[Alteration]:
        """Make the folder."""
        folder = self._folder(planned.levels)
        with told(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = folder / LIST
            if path.exists() and not (text := path.read_bytes()).endswith(b"\n"):
                write_new(path, text[: text.rfind(b"\n") + 1])  # a killed restore left half a line
        return []

    def annotate_server(self, metadata: Sequence[tuple[str, bytes]]) -> list[Alteration]:
        """Files keep none."""
        return keeps_no_annotations(metadata)

    def present(self, planned: PlannedMailbox) -> Counter[bytes]:
        """Count the messages that an earlier restore wrote, by blob: those in the list whose file is whole."""
        folder = self._folder(planned.levels)
        with told(folder):
            listed = {str(entry["file"]): entry for entry in self._entries(folder)}
            whole = {name: e for name, e in listed.items() if _size(folder / name) == e["size"]}
            self._taken[planned.levels] = set(whole)
            return Counter(str(entry["id"]).encode() for entry in whole.values())

    def append(self, planned: PlannedMailbox, batch: Sequence[Replay]) -> list[Placed]:
        """Write the files, then their lines in the list."""
        folder = self._folder(planned.levels)
        with told(folder), self._lock:
            taken = self._taken[planned.levels]
            lines = [json.dumps(_write(folder, replay, taken), ensure_ascii=False) + "\n" for replay in batch]
            with (folder / LIST).open("a", encoding="utf-8") as file:
                file.writelines(lines)
        return [Placed() for _ in batch]

    def read_back(self, planned: PlannedMailbox) -> Iterator[ReadBack]:
        """Yield what files and list hold."""
        folder = self._folder(planned.levels)
        for entry in {str(entry["file"]): entry for entry in self._entries(folder)}.values():
            yield ReadBack((folder / entry["file"]).read_bytes(), tuple(entry["flags"]), entry["internaldate"])

    def _entries(self, folder: Path) -> list[dict[str, Any]]:
        path = folder / LIST
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []

    def _folder(self, levels: Levels) -> Path:
        return self._root / folder_name(levels)

    def close(self) -> None:
        """Nothing is held."""


def _write(folder: Path, replay: Replay, taken: set[str]) -> dict[str, Any]:
    row = replay.row
    name = _free_name(row, taken)
    write_new(folder / name, replay.octets)
    os.utime(folder / name, (seconds(row), seconds(row)))
    return {
        "file": name,
        "id": row.blob.hex(),
        "uid": row.uid,
        "size": len(replay.octets),
        "internaldate": row.internaldate,
        "flags": list(replay.flags),
    }


def _free_name(row: MessageRow, taken: set[str]) -> str:
    """Equal messages of two mailboxes that become one folder may have the same UID, too."""
    stem = f"{row.uid:010}-{row.blob.hex()}"
    name = next(name for name in chain([f"{stem}.eml"], (f"{stem}-{n}.eml" for n in count(2))) if name not in taken)
    taken.add(name)
    return name


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else -1
