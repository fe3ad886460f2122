"""Drills: what would come back, and how long it would take."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.backup.site import Site, account
from tests.cli.command import Command, assert_one_error
from tests.cli.serving import Serving
from tests.corpus import MESSAGES
from tests.servers import DovecotServer, deliver
from vault.records import DrillResult


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


@pytest.fixture
def users(dovecot: DovecotServer, site: Site) -> list[str]:
    """Three accounts with hard mails, backed up."""
    names = [dovecot.new_user().name for _ in range(3)]
    for name in names:
        deliver(dovecot, name, "INBOX", list(MESSAGES.values())[:6])
        deliver(dovecot, name, "Archive", list(MESSAGES.values())[6:])
    site.backup(*(account(dovecot, name) for name in names))
    return sorted(names)


@pytest.fixture
def ready(command: Command, site: Site) -> Command:
    return command.with_(
        RESTANTE_VAULT=f"file://{site.directory}/vault",
        RESTANTE_PASSPHRASE=site.passphrase,
        XDG_CACHE_HOME=str(command.cwd / "cache"),
    )


def places(ready: Command) -> list[Path]:
    return list((ready.cwd / "cache" / "restante").glob("drill-*"))


def test_a_sound_vault_comes_back_whole_and_leaves_nothing_behind(ready: Command, site: Site, users: list[str]) -> None:
    found = ready.well("drill", "--json").document
    assert found["status"] == "complete"
    assert [one["account"] for one in found["accounts"]] == users
    assert {one["same"] for one in found["accounts"]} == {len(MESSAGES)}
    assert found["drilled"] == found["vault"]
    assert found["rto_seconds"] == pytest.approx(found["seconds"], abs=0.001)
    assert places(ready) == []
    (run, *_) = site.open().runs()
    assert (run.kind, run.status) == ("drill", "complete")
    assert isinstance(run.drill, DrillResult)
    assert (run.drill.messages, run.drill.rto) == (3 * len(MESSAGES), found["rto_seconds"])


def test_a_sample_tells_how_long_all_would_take(ready: Command, users: list[str]) -> None:
    found = ready.well("drill", "--sample", "34%", "--json").document
    (drilled,) = found["accounts"]
    assert drilled["account"] in users
    assert found["rto_seconds"] == pytest.approx(3 * found["seconds"], rel=0.01)
    named = ready.well("drill", users[1]).out
    assert users[1] in named
    assert users[0] not in named
    assert "the whole vault (3 accounts" in named


def test_mail_that_the_vault_has_lost_is_named_and_the_exit_code_says_so(
    ready: Command, site: Site, users: list[str]
) -> None:
    for pack in (site.directory / "vault" / "packs").rglob("*"):
        if pack.is_file():
            octets = bytearray(pack.read_bytes())
            octets[len(octets) // 3] ^= 1
            pack.write_bytes(octets)
    outcome = ready("drill", users[0], "--json")
    assert outcome.code == 4
    (drilled,) = outcome.document["accounts"]
    assert (outcome.document["status"], outcome.document["rto_seconds"]) == ("damaged", None)
    lost = {(failure["mailbox"], failure["uid"]) for failure in drilled["failures"]}
    assert lost
    assert drilled["same"] == len(MESSAGES) - len(lost)
    assert f"missing: {users[0]}, " in outcome.err
    assert "damaged" in {run.status for run in site.open().runs() if run.kind == "drill"}


def test_a_server_can_be_the_place_and_each_drill_there_begins_anew(
    ready: Command, users: list[str], second_dovecot: DovecotServer
) -> None:
    name = users[0]
    second_dovecot.new_user(name)
    ready = ready.with_(RESTANTE_TARGET_PASSWORD=second_dovecot.password(name))
    for _ in range(2):
        outcome = ready("drill", name, "--to", second_dovecot.url(name).replace(name.replace("@", "%40"), "{account}"),
                        "--json")  # fmt: skip
        (drilled,) = outcome.document["accounts"]
        # Dovecot keeps no NUL.
        assert (outcome.code, drilled["status"], drilled["same"]) == (1, "partial", len(MESSAGES) - 1)
        assert [altered["what"] for altered in drilled["altered"]] == ["the target keeps other octets"]
        assert drilled["failures"] == []
    with second_dovecot.open(name) as raw:
        assert raw.messages("INBOX") == []


def test_the_service_drills_on_a_schedule(command: Command, dovecot: DovecotServer) -> None:
    serving, name = Serving(command), dovecot.new_user().name
    deliver(dovecot, name, "INBOX", list(MESSAGES.values())[:6])
    serving.account(dovecot, name)
    serving("backup")
    serving.job("exercise", every="1s", does="drill", sample="50%")
    with serving.running() as process:
        serving.await_("job ended", job="exercise", status="complete", messages="6", failures="0")
        assert serving.leave(process) in (0, 130)
    (job,) = serving.status()["jobs"]
    assert (job["job"], job["does"]) == ("exercise", "drill")


def test_what_a_killed_drill_left_behind_is_removed(ready: Command, users: list[str]) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = ready.cwd / "cache" / "restante" / f"drill-{gone.pid}-left"
    (left / users[0]).mkdir(parents=True)
    ready.well("drill", users[0])
    assert not left.exists()


def test_a_key_that_reads_no_mail_can_not_drill(ready: Command, users: list[str]) -> None:
    ready.well("key", "export", "--backup-only", str(ready.cwd / "host.key"))
    without = Command(ready.cwd, {name: text for name, text in ready.env.items() if name != "RESTANTE_PASSPHRASE"})
    outcome = without("drill", users[0], RESTANTE_KEY_FILE=str(ready.cwd / "host.key"))
    assert_one_error(outcome, 3, "can't read mail")
    assert places(ready) == []


def test_an_account_that_the_vault_does_not_know_is_a_mistake_of_the_command_line(
    ready: Command, users: list[str]
) -> None:
    assert_one_error(ready("drill", users[0], "nobody@example.test"), 2, "nobody@example.test")
    assert_one_error(ready("drill", "--to", "maildir:/somewhere"), 2, "not an IMAP server")
