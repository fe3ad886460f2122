"""What the raw ceilings read, made beforehand from the Maildirs of a server, and how each is measured."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contestants import secret_file
from bench.maildir import mailboxes
from bench.measure import Cost, measure
from bench.places import MailServer

COMMAND = 8 << 20
"""Octets of mail in one MULTIAPPEND."""
CONNECTIONS = 8
"""As Restante has them: four accounts at once, two connections each."""
SENDERS = 4
"""Connections of the raw MULTIAPPEND, as the target names them."""

Json = dict[str, Any]


@dataclass
class Ceilings:
    """The raw ceilings for one server's mail; `work` holds about twice the mail."""

    work: Path

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)

    def drain(self, server: MailServer, width: int = CONNECTIONS) -> Cost:
        """Read everything and throw it away, each account by up to two connections."""
        jobs = []
        for user in server.users:
            boxes = [_listed(name, files) for name, files in mailboxes(server.maildir(user)).items()]
            jobs += [{"user": user, "boxes": half} for half in _shares(boxes, 2, _octets) if half]
        return self._measure("drain", server, [_largest_first(jobs, _size)], width)

    def append(self, source: MailServer, target: MailServer, width: int = SENDERS) -> Cost:
        """Send all of the source's mail to the target, each mailbox by one connection."""
        return self._measure("append", target, [_largest_first(self._ready(source), _size)], width)

    def prepare(self, source: MailServer) -> Cost:
        """Turn all of the source's mail into vaults, without any mail server: a process and a vault a processor."""
        return self._measure("prepare", source, _shares(self._ready(source), os.cpu_count() or 1, _size), 1)

    def close(self) -> None:
        """Forget it all."""
        shutil.rmtree(self.work)

    def _ready(self, source: MailServer) -> list[Json]:
        return [
            {"user": user, "boxes": [_written(name, files, self.work / f"{user}-{number}")]}
            for user in source.users
            for number, (name, files) in enumerate(mailboxes(source.maildir(user)).items())
        ]

    def _measure(self, what: str, server: MailServer, shares: list[list[Json]], width: int) -> Cost:
        """Have a process do each share, all at once, over `width` connections each."""
        ca = str(server.ca) if server.ca else None
        spec = {"host": server.host, "port": server.port, "ca": ca, "passwords": server.passwords, "width": width}
        commands = []
        for number, jobs in enumerate(shares):
            own = {"jobs": jobs, "vault": str(self.work / f"vault-{number}")}
            file = secret_file(self.work / f"spec-{number}.json", json.dumps({**spec, **own}))
            commands.append([sys.executable, "-m", "bench.ceilings", what, str(file)])
        return measure(commands, log=self.work / "ceilings.log", width=len(commands), mail=server.line)


def _octets(box: Json) -> int:
    return int(box["octets"])


def _size(job: Json) -> int:
    return sum(map(_octets, job["boxes"]))


def _largest_first(some: list[Json], size: Callable[[Json], int]) -> list[Json]:
    return sorted(some, key=size, reverse=True)


def _shares(some: list[Json], count: int, size: Callable[[Json], int]) -> list[list[Json]]:
    """Deal out what has a size so that all have about as much."""
    shares: list[list[Json]] = [[] for _ in range(count)]
    for one in _largest_first(some, size):
        min(shares, key=lambda share: sum(map(size, share))).append(one)
    return shares


def _listed(name: str, files: list[Path]) -> Json:
    return {"name": name, "octets": sum(path.stat().st_size for path in files)}


def _written(name: str, files: list[Path], out: Path) -> Json:
    commands, mails, start = [], [], 0
    with out.open("wb") as file:
        file.write(f'a APPEND "{name}"'.encode())
        for path in files:
            octets = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            if file.tell() - start > COMMAND:
                file.write(b"\r\n")
                commands.append((start, file.tell()))
                start = file.tell()
                file.write(f'a APPEND "{name}"'.encode())
            file.write(b' (\\Seen) "01-Jan-2024 00:00:00 +0000" {%d+}\r\n' % len(octets))
            mails.append((file.tell(), len(octets)))
            file.write(octets)
        file.write(b"\r\n")
        commands.append((start, file.tell()))
    return {"name": name, "file": str(out), "commands": commands, "mails": mails, "octets": sum(s for _, s in mails)}
