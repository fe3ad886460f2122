"""What the raw ceilings read, made beforehand from the Maildirs of a server, and how each is measured."""

from __future__ import annotations

import json
import shutil
import sys
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
            jobs += [{"user": user, "boxes": half} for half in _halves(boxes) if half]
        return self._measure("drain", server, _largest_first(jobs), width)

    def append(self, source: MailServer, target: MailServer, width: int = SENDERS) -> Cost:
        """Send all of the source's mail to the target, each mailbox by one connection."""
        return self._measure("append", target, _largest_first(self._ready(source)), width)

    def prepare(self, source: MailServer) -> Cost:
        """Turn all of the source's mail into a vault, without any mail server."""
        return self._measure("prepare", source, self._ready(source), 1)

    def close(self) -> None:
        """Forget it all."""
        shutil.rmtree(self.work)

    def _ready(self, source: MailServer) -> list[Json]:
        return [
            {"user": user, "boxes": [_written(name, files, self.work / f"{user}-{number}")]}
            for user in source.users
            for number, (name, files) in enumerate(mailboxes(source.maildir(user)).items())
        ]

    def _measure(self, what: str, server: MailServer, jobs: list[Json], width: int) -> Cost:
        ca = str(server.ca) if server.ca else None
        spec = {"host": server.host, "port": server.port, "ca": ca, "passwords": server.passwords}
        vault = str(self.work / "vault")
        file = secret_file(self.work / "spec.json", json.dumps({**spec, "width": width, "jobs": jobs, "vault": vault}))
        command = [sys.executable, "-m", "bench.ceilings", what, str(file)]
        return measure([command], log=self.work / "ceilings.log", mail=server.line)


def _size(job: Json) -> int:
    return sum(box["octets"] for box in job["boxes"])


def _largest_first(jobs: list[Json]) -> list[Json]:
    return sorted(jobs, key=_size, reverse=True)


def _listed(name: str, files: list[Path]) -> Json:
    return {"name": name, "octets": sum(path.stat().st_size for path in files)}


def _halves(boxes: list[Json]) -> tuple[list[Json], list[Json]]:
    halves: tuple[list[Json], list[Json]] = ([], [])
    for box in sorted(boxes, key=lambda box: int(box["octets"]), reverse=True):
        min(halves, key=lambda half: _size({"boxes": half})).append(box)
    return halves


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
