"""Makes the frozen vaults: `python -m tests.vaults.make_frozen NEW_FOLDER`, once for each version of the format.

What is frozen is never made again: a vault of today must be readable for as long as there is a reader. Each folder
holds a `vault/` and an `expected.json`; README.md says what stands in it. Passphrase and recovery key are public.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.reader import Bad, Columns, Reader, rows
from tests.vaults.contents import JOBS, Job, write_job
from tests.vaults.damages import DAMAGES, Objects
from vault import slots
from vault.keyring import init_vault, rotate
from vault.packer import PackLimits
from vault.slots import Passphrase
from vault.stores.local import LocalStore
from vault.vault import open_vault
from vault.writer import VaultWriter

PASSPHRASE = "public passphrase of the frozen vaults"
SECOND_PASSPHRASE = "public passphrase after the rotation"
LIMITS = PackLimits(pack=3_000, block=1_500, alone=1_400, message_alone=1_400)

Lost = set[tuple[str, str, int]]
"""Account, mailbox and UID of messages that nobody can read any more."""


class Ticking:
    """A clock that is a minute later each time it is asked."""

    def __init__(self) -> None:
        self._moment = datetime(2026, 1, 5, 8, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the next minute."""
        self._moment += timedelta(minutes=1)
        return self._moment


@dataclass
class Frozen(Objects):
    """A vault in the making, and what is to be expected of it."""

    about: str = ""
    passphrase: str = PASSPHRASE
    jobs: tuple[Job, ...] = ()
    lost: Lost = field(default_factory=set)

    def reader(self) -> Reader:
        """Open it with the second reader."""
        return Reader(self.vault, passphrase=self.passphrase)

    def write_expected(self) -> None:
        """Write `expected.json`."""
        words: dict[str, Any] = {
            "about": self.about,
            "passphrase": self.passphrase,
            "recovery_key": self.recovery_key,
            "check": {"structure": sorted(self.structure), "read": sorted(self.read)},
            "lost": sorted(self.lost),
            "snapshots": [_described(job) for job in self.jobs] or "as in sound",
        }
        lines = (f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in words.items())
        (self.root / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _described(job: Job) -> dict[str, Any]:
    messages = [
        [mailbox.name, m.uid, list(m.flags), m.internaldate, hashlib.sha256(m.octets).hexdigest()]
        for mailbox in job.mailboxes
        for m in mailbox.messages
    ]
    return {"account": job.account, "status": job.status, "messages": messages}


@contextmanager
def weak_slots() -> Iterator[None]:
    """Make slots that open at once: their passphrases are public anyway."""
    with patch.multiple(slots, ITERATIONS=1, LANES=1, MEMORY_KIB=64):
        yield


def fill(made: Frozen, jobs: tuple[Job, ...], clock: Ticking) -> None:
    """Run some jobs into a vault, each with a session of its own."""
    store = LocalStore(made.vault)
    for job in jobs:
        vault = open_vault(store, Passphrase(made.passphrase))
        writer = VaultWriter(vault, store, clock=clock, tool="frozen", limits=LIMITS)
        write_job(writer, vault, job, clock.now())
        writer.close()
        vault.close()


def make_sound(root: Path) -> Frozen:
    """Make the vault from which most damaged ones are copied."""
    made, clock = Frozen(root, about="sound", jobs=JOBS), Ticking()
    with weak_slots():
        made.recovery_key = init_vault(LocalStore(made.vault), PASSPHRASE, clock=clock)
    fill(made, JOBS, clock)
    return made


def make_rotated(root: Path) -> Frozen:
    """Make a vault whose content key was rotated in between, with slots as strong as they are in life."""
    about = "sound; the content key was rotated after the first two snapshots"
    made, clock = Frozen(root, about=about, jobs=JOBS), Ticking()
    store = LocalStore(made.vault)
    init_vault(store, PASSPHRASE, clock=clock)
    fill(made, JOBS[:2], clock)
    made.recovery_key = rotate(store, Passphrase(PASSPHRASE), SECOND_PASSPHRASE, clock=clock)
    made.passphrase = SECOND_PASSPHRASE
    fill(made, JOBS[2:], clock)
    return made


def damaged(sound: Frozen, root: Path, name: str) -> Frozen:
    """Copy the sound vault and damage the copy."""
    about, damage = DAMAGES[name]
    shutil.copytree(sound.vault, root / "vault")
    made = Frozen(root, about=about, recovery_key=sound.recovery_key)
    damage(made)
    made.lost = lost(sound, made)
    return made


def lost(sound: Frozen, made: Frozen) -> Lost:
    """Return what the second reader can't read any more; it shares no code with the vault."""
    return _readable(sound.reader()) - _readable(made.reader())


def _readable(reader: Reader) -> Lost:
    for name in reader.names("index"):
        with _forgiving():
            _load_index(reader, name)
    found: Lost = set()
    for name in reader.names("snapshots"):
        with _forgiving():
            snapshot = json.loads(reader.small(name, b"S"))
            for mailbox in json.loads(reader.blob(base64.b64decode(snapshot["tree"]), "meta"))["mailboxes"]:
                found.update(_readable_in(reader, snapshot["account"], mailbox))
    return found


def _load_index(reader: Reader, name: str) -> None:
    columns = Columns(reader.small(name, b"I"))
    reader.sessions(columns)
    ids, kinds, _ = columns.fixed(32), columns.octets(), columns.numbers()
    for i, object_id in enumerate(ids):
        reader.directory(columns, object_id, kinds[i : i + 1])


def _readable_in(reader: Reader, account: str, mailbox: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    with _forgiving():
        for leaf in reader.leaves(mailbox.get("rows")):
            for uid, blob, _ in rows(leaf):
                with _forgiving():
                    reader.blob(blob, "message")
                    yield account, mailbox["name"], uid


@contextmanager
def _forgiving() -> Iterator[None]:
    with suppress(Bad, KeyError, FileNotFoundError, json.JSONDecodeError):
        yield


def make_all(folder: Path) -> None:
    """Make every frozen vault below a folder."""
    sound = make_sound(folder / "sound")
    everything = [sound, make_rotated(folder / "rotated")]
    everything += [damaged(sound, folder / name, name) for name in DAMAGES]
    for made in everything:
        made.write_expected()


if __name__ == "__main__":
    target = Path(sys.argv[1])
    if target.exists():
        sys.exit(f"{target} is there already, and what is frozen stays as it is")
    make_all(target)
