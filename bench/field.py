"""Who takes part beside Restante, and what they need on the machine."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.contestants import Contestant, Mailvault, PlainLoop
from bench.mirrors import Archiver, Borg, Mbsync, Restic
from bench.places import MailServer, Store
from bench.rows import BY_THE_BOOK, DIRECT, MIRRORED, OTHERS, Figures, figures
from tests.servers.process import find_program


def left_out() -> dict[str, str]:
    """Say who can't take part on this machine, and why."""
    needs = dict.fromkeys(MIRRORED, ("mbsync", "restic")) | {"borg": ("mbsync", "borg"), "plain loop": ()}
    absent = {name: [one for one in needs[name] if not find_program(one)] for name in needs}
    absent["mailvault"] = [] if Mailvault.program() else ["mailvault"]
    hint = "scripts/system-packages.sh bench installs it"
    return {name: f"{', '.join(absent[name])} is missing; {hint}" for name in OTHERS if absent[name]}


def say(text: str) -> None:
    """Tell who is watching."""
    print(text, file=sys.stderr, flush=True)


class Others:
    """All but Restante: those who read a mirror of mbsync's, and those who read the server themselves."""

    def __init__(self, home: Path, store: Store, name: str, which: Sequence[str] = OTHERS) -> None:
        self.home = home
        absent = left_out()
        there = [one for one in which if one not in absent]
        mirrored = [one for one in there if one in MIRRORED]
        self.mirrors = {tuned: Mbsync(home / f"mbsync-{tuned}", tuned) for tuned in {_tuned(one) for one in mirrored}}
        self.archivers = {one: _archiver(one, home / one, store, name) for one in mirrored}
        self.direct = {one: _direct(one, home / one) for one in there if one in DIRECT}

    def start(self, server: MailServer) -> None:
        """Make repositories and archives."""
        for archiver in self.archivers.values():
            archiver.start()
        for contestant in self.direct.values():
            contestant.start(server)

    def backup(self, server: MailServer) -> dict[str, Figures]:
        """Mirror, then back the mirror up, each being charged with the mirroring; then the others."""
        mirroring = {tuned: mbsync.pull(server) for tuned, mbsync in self.mirrors.items()}
        by = {
            one: figures(archiver.backup(self.mirrors[_tuned(one)].mirror), before=mirroring[_tuned(one)])
            for one, archiver in self.archivers.items()
        }
        return by | {one: figures(contestant.backup(server)) for one, contestant in self.direct.items()}

    def restore_files(self) -> dict[str, Figures]:
        """Restore each repository's mirror to a directory of its own."""
        return {one: figures(archiver.restore(self.home / f"files-{one}")) for one, archiver in self.archivers.items()}

    def restore(self, empty: Callable[[str], MailServer], held: Callable[[MailServer], None]) -> dict[str, Figures]:
        """Restore each mirror to an empty server of its own, and let `held` look at it; the others fill no server."""
        by = {}
        for one, archiver in self.archivers.items():
            mbsync, out, target = self.mirrors[_tuned(one)], self.home / f"back-{one.replace(' ', '-')}", empty(one)
            fetched = archiver.restore(out)
            by[one] = figures(fetched + mbsync.push(target, out / mbsync.mirror.relative_to("/")))
            held(target)
        return by

    def close(self) -> None:
        """Forget mirrors, archives and caches."""
        shutil.rmtree(self.home, ignore_errors=True)


def _tuned(contestant: str) -> bool:
    return contestant != BY_THE_BOOK


def _archiver(which: str, home: Path, store: Store, name: str) -> Archiver:
    if which == "borg":
        return Borg(home)
    return Restic(store, home, "max" if which == "restic max" else "auto", f"{name}-{which.replace(' ', '-')}")


def _direct(which: str, home: Path) -> Contestant:
    return Mailvault(home) if which == "mailvault" else PlainLoop(home)
