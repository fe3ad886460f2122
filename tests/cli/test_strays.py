"""A store can put any object of any name beside ours: no command breaks over it, and the mail is read all the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.test_prune import Place, place

__all__ = ["place"]

NAMES = [
    "{kind}/x",
    "{kind}/.DS_Store",
    "{kind}/00000000T000000Z-00000000",
    "{kind}/99999999T999999Z-00000000",
    "{kind}/20261399T000000Z-deadbeef",
    "{kind}/" + "f" * 64,
    "{kind}/" + "f" * 63 + "g",
    "{kind}/a b\u00e4\u2028",
    "{kind}/aa/" + "a" * 64,
]
KINDS = ["packs", "meta", "index", "runs", "tombstones", "holds", "keys", "snapshots", "snapshots/{account}", "other"]
COMMANDS = [
    ("snapshots",),
    ("snapshots", "anna", "--json"),
    ("ls", "anna", "--json"),
    ("check", "--read"),
    ("status",),
    ("prune", "--dry-run"),
    ("prune",),
    ("index", "rebuild"),
    ("copy", "--to", "file://{second}"),
    ("restore", "anna", "--to", "maildir:{restored}"),
]


def strew(vault: Path, octets: bytes) -> None:
    (account, *_) = (path.name for path in (vault / "snapshots").iterdir())
    for kind in KINDS:
        for name in NAMES:
            path = vault / name.format(kind=kind.format(account=account))
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(octets)


@pytest.mark.parametrize("octets", [b"", b"junk\n", b"RSTE\1S" + bytes(40), None], ids=["no", "some", "a head", "own"])
def test_strays_break_no_command(place: Place, octets: bytes | None) -> None:
    vault = place.command.cwd / "vault"
    if octets is None:
        octets = next((vault / "index").iterdir()).read_bytes()
    strew(vault, octets)
    shutil.copytree(vault, place.command.cwd / "kept")
    for command in COMMANDS:
        shutil.rmtree(vault)
        shutil.copytree(place.command.cwd / "kept", vault)
        words = [word.format(second=place.command.cwd / "2", restored=place.command.cwd / "out") for word in command]
        outcome = place.command(*words, RESTANTE_PASSPHRASE=place.passphrase)
        assert "internal error" not in outcome.err, (command, outcome)
        assert outcome.code == 0 or outcome.errors or outcome.out, (command, outcome)
    mails = [
        path for path in (place.command.cwd / "out").rglob("*") if path.is_file() and path.parent.name in {"cur", "new"}
    ]
    assert len(mails) == 2
