"""What was delivered to one recipient, noted so that a power cut costs one line at most."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections import Counter
from pathlib import Path
from typing import BinaryIO

from restore.targets.files import told

_LINE = re.compile(rb"([0-9a-f]{16}) ([0-9a-f]{32})")


class Ledger:
    """A line for each message that was delivered: its mailbox and blob. It may be lost, and read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._placed = False

    @property
    def exists(self) -> bool:
        """Whether anything was delivered before."""
        return self.path.exists()

    def delivered(self, mailbox: str) -> Counter[bytes]:
        """Count the blobs of a mailbox."""
        with told(self.path):
            data = self.path.read_bytes() if self.exists else b""
        lines = filter(None, map(_LINE.fullmatch, data.split(b"\n")[:-1]))
        return Counter(line[2] for line in lines if line[1] == _short(mailbox))

    def note(self, mailbox: str, blob: str) -> None:
        """Note a message durably."""
        with self._lock, told(self.path):
            if not self._placed:
                _place(self.path)
                self._placed = True
            with self.path.open("ab+") as file:
                _cut_torn_line(file)
                file.write(b"%s %s\n" % (_short(mailbox), blob.encode()))
                file.flush()
                os.fsync(file.fileno())


def _short(mailbox: str) -> bytes:
    return hashlib.sha256(mailbox.encode()).hexdigest()[:16].encode()


def _cut_torn_line(file: BinaryIO) -> None:
    """Cut off what a crash left without a line end: the next line would merge with it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 1))
    if size and file.read() != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


def _place(path: Path) -> None:
    """Make a file and the directories above it, so that none of them is gone after a power cut."""
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    for folder in [path.parent, *(one.parent for one in made)]:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
