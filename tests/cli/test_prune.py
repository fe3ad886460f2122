"""`restante prune`, `hold` and what `snapshots` shows of it, on a directory whose files grow old at our word."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from backup.retention import Policy
from restante.wiring import Wiring
from tests.cli.command import Command, assert_one_error
from tests.corpus import plain_mail
from tests.secret import new_secret
from tests.servers.process import wait_for
from tests.vault.archive import SMALL, draft_of
from vault.clock import SystemClock
from vault.keyring import export_key, init_vault
from vault.slots import KeyFile, Passphrase
from vault.stores.local import LocalStore
from vault.vault import open_vault
from vault.writer import VaultWriter

CONFIG = """\
vault:
  url: file://{url}
  key_file: backup.key
accounts:
  - {{name: anna, url: imaps://anna@mail.example.org}}
  - {{name: bert, url: imaps://bert@mail.example.org, retention: {{}}}}
jobs:
  - {{name: hourly, retention: {{last: 1}}}}
"""


@dataclass
class Place:
    """A vault with three days of two accounts, and the command with the backup-only key and a configuration."""

    command: Command
    store: LocalStore
    passphrase: str

    def age(self, hours: float) -> None:
        for path in (self.command.cwd / "vault").rglob("*"):
            moment = path.stat().st_mtime - hours * 3600
            os.utime(path, (moment, moment))

    def backup(self, account: str, mails: dict[int, bytes]) -> None:
        vault = open_vault(self.store, KeyFile((self.command.cwd / "backup.key").read_bytes()))
        writer = VaultWriter(vault, self.store, clock=SystemClock(), limits=SMALL)
        draft = draft_of(vault, writer, account, mails, "complete")
        writer.flush()
        writer.write_snapshot(draft)
        writer.close()
        vault.close()

    def prune(self, *options: str) -> dict[str, object]:
        document: dict[str, object] = self.command.well("prune", "--json", *options).document
        assert set(document) == {"status", "snapshots", "condemned", "deleted", "bytes_freed"}
        return document


@pytest.fixture
def place(command: Command) -> Place:
    store, passphrase = LocalStore(command.cwd / "vault"), new_secret()
    init_vault(store, passphrase)
    (command.cwd / "backup.key").write_bytes(export_key(store, Passphrase(passphrase), backup_only=True))
    (command.cwd / "restante.yaml").write_text(CONFIG.format(url=command.cwd / "vault"))
    made = Place(command, store, passphrase)
    for day in range(3):
        made.backup("anna", {1: plain_mail(1), 10 + day: plain_mail(10 + day)})
        made.backup("bert", {1: plain_mail(1), 10 + day: plain_mail(20 + day)})
        made.age(72)
    return made


def snapshots(place: Place, account: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = place.command.well("snapshots", account, "--json").document
    return found


def test_snapshots_expire_as_the_configuration_says_and_space_comes_back(place: Place) -> None:
    told = place.prune("--dry-run")
    assert place.prune() == told | {"status": "complete"}
    judged = [(s["account"], s["keep"]) for s in told["snapshots"]]  # type: ignore[attr-defined]
    assert judged == [("anna", False), ("anna", False), ("anna", True)] + [("bert", True)] * 3
    assert {s["rule"] for s in told["snapshots"]} >= {"no rule keeps it"}  # type: ignore[attr-defined]
    for _ in range(4):
        place.age(49)
        place.prune()
    assert [len(snapshots(place, account)) for account in ("anna", "bert")] == [1, 3]
    whole = place.command.well("check", "--read", RESTANTE_KEY_FILE="", RESTANTE_PASSPHRASE=place.passphrase)
    assert "No damage found." in whole.out


def test_a_prune_says_in_words_what_it_keeps_and_why(place: Place) -> None:
    out = place.command.well("prune", "--dry-run").out
    assert "no rule keeps it" in out
    assert "newest complete" in out
    assert "4 snapshots kept, 2 snapshots expired" in out


def test_a_hold_is_shown_outlives_the_retention_and_can_be_released(place: Place) -> None:
    first = snapshots(place, "anna")[0]
    assert first["held"] is False
    place.command.well("hold", f"anna@{first['id']}")
    assert [s["held"] for s in snapshots(place, "anna")] == [True, False, False]
    assert "complete, held" in place.command.well("snapshots", "anna").out
    for _ in range(4):
        place.prune()
        place.age(49)
    assert snapshots(place, "anna")[0]["id"] == first["id"]
    assert_one_error(place.command("hold", "--release", "anna"), 2, "no hold")
    place.command.well("hold", "--release", f"anna@{first['id']}")
    for _ in range(4):
        place.prune()
        place.age(49)
    assert len(snapshots(place, "anna")) == 1


def test_a_hold_that_comes_late_says_what_to_do(place: Place) -> None:
    place.prune()
    assert "run `restante prune` now" in place.command.well("hold", "anna").err


def test_most_mail_gone_at_once_is_told_and_can_be_acknowledged(place: Place) -> None:
    place.backup("anna", {n: plain_mail(n) for n in range(1, 12)})
    place.backup("anna", {1: plain_mail(1)})
    place.age(72)
    outcome = place.command.well("prune")
    assert "over half of the mail of anna went at once" in outcome.err
    assert "restante prune --acknowledge anna" in outcome.err
    assert place.command.well("prune", "--acknowledge", "anna").err == ""


def test_a_snapshot_that_was_lost_stops_the_prune_with_one_error(place: Place) -> None:
    first = snapshots(place, "anna")[0]["id"]
    (lost,) = (path for path in (place.command.cwd / "vault").rglob(str(first)))
    lost.unlink()
    assert_one_error(place.command("prune"), 3, "nothing was pruned", "missing")
    place.command.well("prune", "--acknowledge", "anna")


@pytest.mark.parametrize("name", ["runs/stranger", "snapshots/stranger"])
def test_a_stranger_among_the_objects_is_named_and_not_called_another_prune(place: Place, name: str) -> None:
    place.prune()
    stranger = place.command.cwd / "vault" / name
    stranger.parent.mkdir(exist_ok=True)
    stranger.write_bytes(b"left here by a file manager")
    assert_one_error(place.command("prune"), 3, name, "is not an object of this vault")


@contextmanager
def leased(path: Path) -> Iterator[Callable[[], bool]]:
    """Hold up whoever opens a file until the block ends; the function given says whether somebody waits (fcntl(2))."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    with path.open("rb+") as file:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield lambda: fcntl.fcntl(file, fcntl.F_GETLEASE) != fcntl.F_WRLCK
    signal.signal(signal.SIGIO, before)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_prune_that_is_told_to_stop_reports_and_the_next_one_goes_on(place: Place, options: tuple[str, ...]) -> None:
    place.prune()
    place.age(72)
    held_up = next(path for path in (place.command.cwd / "vault" / "snapshots").rglob("*") if path.is_file())
    with leased(held_up) as asked_for:
        process = place.command.process("prune", *options)
        wait_for(asked_for, 30, lambda: "the prune reads no snapshot")
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert b"stopping" in process.stderr.readline()
    out, err = process.communicate(timeout=30)
    assert (process.returncode, b"Traceback" in err) == (130, False)
    assert b"interrupted" in out
    assert json.loads(out)["deleted"] == 0 if options else b"0 deleted" in out
    place.age(72)
    assert place.prune()["deleted"]
    place.command.well("check", RESTANTE_PASSPHRASE=place.passphrase)


def test_the_widest_of_several_jobs_counts_and_an_account_s_own_word_most(tmp_path: Path) -> None:
    file = tmp_path / "restante.yaml"
    file.write_text(
        "vault: {url: file:///x}\naccounts:\n"
        "  - {name: anna, url: imaps://a@b}\n"
        "  - {name: bert, url: imaps://a@b, retention: {yearly: 9}}\n"
        "jobs:\n  - {name: hourly, retention: {hourly: 5, daily: 1}}\n"
        "  - {name: nightly, accounts: [a*], retention: {daily: 7}}\n"
        "  - {name: weekly}\n"
    )
    wiring = Wiring(file, None)
    assert wiring.retention("anna") == Policy(hourly=5, daily=7)
    assert wiring.retention("bert") == Policy(yearly=9)
    assert wiring.retention("gone") == Policy(hourly=5, daily=1)
    assert wiring.retention("gone").keeps_all is False
    assert Wiring(None, "file:///x").retention("anna").keeps_all
