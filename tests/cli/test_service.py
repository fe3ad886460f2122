"""`restante run`: jobs at their times, whatever happens to one of them, and history from the vault alone."""

from __future__ import annotations

import itertools
import shutil
import signal
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.command import Command, assert_one_error
from tests.cli.serving import Serving
from tests.proxy import cutting_proxy
from tests.servers import DovecotServer, RcloneS3
from tests.servers.maildir import deliver

_numbers = itertools.count()


def mails(count: int) -> list[bytes]:
    """Return small mails, no two of them equal."""
    return [b"Subject: %d\r\n\r\nA mail.\r\n" % number for number in itertools.islice(_numbers, count)]


@pytest.fixture
def serving(command: Command) -> Serving:
    """A service with an empty vault and no job yet."""
    return Serving(command)


@pytest.fixture
def anna(dovecot: DovecotServer, serving: Serving) -> str:
    """An account with a little mail, in the configuration."""
    user = dovecot.new_user().name
    deliver(dovecot, user, "INBOX", mails(3))
    serving.account(dovecot, user)
    return user


def test_jobs_run_at_their_times_and_new_mail_is_in_the_next_snapshot(
    serving: Serving, anna: str, dovecot: DovecotServer
) -> None:
    serving.job("often", every="1s")
    serving.job("proof", every="1s", does="check", sample="100%")
    with serving.running() as process:
        serving.await_("job ended", job="often", status="complete", new_messages="3")
        deliver(dovecot, anna, "INBOX", mails(1))  # of several a run may find some, and the next the others
        serving.await_("job ended", job="often", status="complete", new_messages="1")
        serving.await_("job ended", times=2, job="proof", status="complete", damaged_objects="0")
        assert serving.leave(process) in (0, 130)
    told = serving.status()
    assert [account["messages"] for account in told["accounts"]] == [4]
    assert {job["job"]: job["does"] for job in told["jobs"]} == {"often": "backup", "proof": "check"}


def test_history_is_read_from_the_vault_so_that_a_restart_does_not_begin_anew(serving: Serving, anna: str) -> None:
    serving.job("hourly", every="1h")
    serving.job("nightly", cron="0 3 * * *", does="check")
    with serving.running() as process:
        serving.await_("job ended", job="hourly", status="complete")
        assert serving.leave(process) == 0
    shutil.rmtree(serving.command.cwd / "cache")
    serving.job("again", every="1h")
    with serving.running():
        serving.await_("job ended", job="again", status="complete")
        assert serving.log("job started", job="hourly") == []
        assert serving.log("job started", job="nightly") == []


def test_a_run_that_was_missed_while_the_service_was_down_is_made_up_once(serving: Serving, anna: str) -> None:
    serving.job("often", every="3s")
    with serving.running() as process:
        serving.await_("job ended", job="often")
        serving.leave(process)
    time.sleep(7)
    with serving.running():
        planned = serving.await_("job planned", job="often")
        started = serving.await_("job started", job="often")
        assert planned["first"] <= started["timestamp"]
        serving.await_("job ended", times=2, job="often")
        assert serving.log("job is still running, this turn is skipped") == []


@pytest.mark.slow
def test_sigterm_amid_a_first_backup_of_20000_mails_leaves_a_checkpoint_and_the_next_run_fetches_the_rest(
    serving: Serving, dovecot: DovecotServer
) -> None:
    total, user = 20_000, dovecot.new_user().name
    deliver(dovecot, user, "INBOX", mails(total))
    with cutting_proxy(dovecot.port, [1_000_000, 1_000_000], stall=True) as proxy:
        serving.account(dovecot, user, port=proxy.port)
        serving.job("hourly", every="1h")
        with serving.running() as process:
            assert proxy.stalled.wait(60)
            assert serving.leave(process, seconds=10) == 130
            assert serving.log("job ended", job="hourly", status="interrupted")
        (first,) = serving("snapshots", "--json").document
        assert first["status"] == "partial"
        assert 0 < first["messages"] < total
        with serving.running():
            ended = serving.await_("job ended", job="hourly", status="complete")
            assert int(ended["new_messages"]) == total - first["messages"]
    assert [account["messages"] for account in serving.status()["accounts"]] == [total]


def test_a_job_never_overlaps_itself_and_accounts_at_once_bounds_all_jobs_together(
    serving: Serving, dovecot: DovecotServer
) -> None:
    slow, quick = dovecot.new_user().name, dovecot.new_user().name
    deliver(dovecot, slow, "INBOX", mails(10))
    with cutting_proxy(dovecot.port, [10], stall=True) as proxy:
        serving.account(dovecot, slow, port=proxy.port)
        serving.account(dovecot, quick)
        serving.config["limits"] = {"accounts_at_once": 1}
        serving.job("stalls", accounts=[slow], every="1s")
        with serving.running() as process:
            assert proxy.stalled.wait(30)
            serving.job("waits", accounts=[quick], every="1h")
            serving.write()
            process.send_signal(signal.SIGHUP)
            serving.await_("job started", job="waits")
            serving.await_("job is still running, this turn is skipped", times=3, job="stalls")
            assert len(serving.log("job started", job="stalls")) == 1
            assert serving.log("job ended") == []
            assert serving.leave(process) == 130
    assert {job["job"]: job["status"] for job in serving.status()["jobs"]} == {
        "stalls": "interrupted",
        "waits": "interrupted",
    }


def test_the_account_that_waits_longest_is_read_first(serving: Serving, anna: str, dovecot: DovecotServer) -> None:
    serving("backup", anna)
    with cutting_proxy(dovecot.port, [10], stall=True) as proxy:
        serving.account(dovecot, waiting := dovecot.new_user().name, port=proxy.port)
        serving.config["limits"] = {"accounts_at_once": 1}
        serving.job("hourly", every="1h")
        with serving.running() as process:
            assert proxy.stalled.wait(30)
            assert serving.leave(process) == 130
    last = {account["account"]: account["last_run"] for account in serving.status()["accounts"]}
    assert last == {anna: "interrupted", waiting: "interrupted"}


def test_a_store_that_is_gone_is_told_in_the_log_and_the_jobs_go_on_when_it_is_back(
    serving: Serving, anna: str
) -> None:
    store = RcloneS3.start()
    try:
        serving.command.env.update(store.environment)
        serving.config["vault"]["url"] = store.vault_url("mail/vault") + "&patience=3"
        serving("init")
        serving.job("often", every="1s")
        with serving.running():
            serving.await_("job ended", job="often", status="complete")
            store.kill()
            assert "trying again" in serving.await_("vault")["warning"]
            assert serving.await_("job failed", job="often")["hint"]
            store.restart()
            before = len(serving.log("job ended", status="complete"))
            serving.await_("job ended", times=before + 2, job="often", status="complete")
            assert all("timestamp" in line for line in serving.log())
    finally:
        store.remove()


def test_a_store_that_falls_silent_keeps_nobody_from_leaving(
    serving: Serving, anna: str, dovecot: DovecotServer
) -> None:
    store = RcloneS3.start()
    try:
        serving.command.env.update(store.environment)
        serving.config["vault"]["url"] = store.vault_url("mail/vault")
        serving("init")
        serving.job("often", every="1s")
        with serving.running() as process:
            serving.await_("job ended", job="often", status="complete")
            store.pause()
            runs = len(serving.log("job ended"))
            serving.await_("job started", times=runs + 1)
            assert serving.leave(process, seconds=10) == 130
            assert serving.log("left without a checkpoint; what the last one covers is safe")
    finally:
        store.remove()


@pytest.mark.slow
def test_turns_missed_while_the_process_stood_still_become_one(serving: Serving, anna: str) -> None:
    serving.job("often", every="5s")
    with serving.running() as process:
        serving.await_("job ended", job="often")
        first = datetime.fromisoformat(serving.await_("job planned")["first"])
        process.send_signal(signal.SIGSTOP)
        # Three turns go by, and four seconds are left to the next.
        time.sleep(max(0, first.timestamp() + 16 - time.time()))
        process.send_signal(signal.SIGCONT)
        serving.await_("job ended", times=3, job="often")
        _, made_up, regular, *_ = (
            datetime.fromisoformat(line["timestamp"]) for line in serving.log("job started", job="often")
        )
        assert regular - made_up >= timedelta(seconds=2)


def test_a_run_that_was_interrupted_begins_again_at_the_next_start_though_it_is_not_due(
    serving: Serving, anna: str, dovecot: DovecotServer
) -> None:
    serving.job("hourly", every="1h")
    serving("backup", "--job", "hourly")
    with cutting_proxy(dovecot.port, [10], stall=True) as proxy:
        serving.account(dovecot, dovecot.new_user().name, port=proxy.port)
        serving.write()
        process = serving.command.process("backup", "--job", "hourly")
        assert proxy.stalled.wait(30)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 130
        with serving.running():
            assert serving.await_("job ended", job="hourly")["status"] == "complete"


def test_sighup_takes_a_new_configuration_and_refuses_a_faulty_one_in_one_line(serving: Serving, anna: str) -> None:
    serving.job("often", every="1s")
    with serving.running() as process:
        serving.await_("job ended", job="often")
        serving.config["jobs"][0]["schedule"] = {"every": "soon"}
        serving.config["accounts"] *= 2
        serving.write()
        process.send_signal(signal.SIGHUP)
        refused = serving.await_("configuration refused, the old one stays")
        assert refused["more_faults"] == "1"
        assert "restante.yaml:" in refused["error"]
        assert "two accounts are called (address)" in refused["error"]
        serving.await_("job ended", times=len(serving.log("job ended", job="often")) + 2, job="often")

        del serving.config["accounts"][1]
        serving.config["jobs"] = []
        serving.job("other", every="1s")
        serving.write()
        process.send_signal(signal.SIGHUP)
        serving.await_("configuration reloaded", jobs="1")
        runs = len(serving.log("job started", job="often"))
        serving.await_("job ended", times=3, job="other")
        assert len(serving.log("job started", job="often")) <= runs + 1
        assert len(serving.log("configuration refused, the old one stays")) == 1


def test_a_configuration_with_another_vault_that_does_not_open_is_refused(serving: Serving, anna: str) -> None:
    serving.job("often", every="1s")
    with serving.running() as process:
        serving.config["vault"]["url"] += "-elsewhere"
        serving.write()
        process.send_signal(signal.SIGHUP)
        assert "no vault" in serving.await_("configuration refused, the old one stays")["error"]
        serving.await_("job ended", times=len(serving.log("job ended")) + 2, job="often", status="complete")


@pytest.mark.parametrize("place", ["vault", "cache"])
def test_a_job_that_raises_is_told_and_runs_again(serving: Serving, anna: str, place: str) -> None:
    there, away = serving.command.cwd / place, serving.command.cwd / "away"
    serving.job("often", every="1s")
    with serving.running():
        serving.await_("job ended", job="often", status="complete")
        there.rename(away)
        there.write_text("not a directory")
        serving.await_("job failed", job="often")
        serving.await_("job ended", job="often", status="failed")
        there.unlink()
        away.rename(there)
        before = len(serving.log("job ended", status="complete"))
        serving.await_("job ended", times=before + 2, job="often", status="complete")


def test_an_account_that_fails_is_in_the_log_by_its_id_and_in_the_status_by_name(serving: Serving, anna: str) -> None:
    serving.job("often", every="1s", rpo="1h")
    serving.config["accounts"].append({**serving.config["accounts"][0], "name": "bert", "password_file": "passphrase"})
    with serving.running():
        line = serving.await_("account", job="often", status="failed")
        assert serving.await_("job ended", job="often")["accounts_failed"] == "1"
    told = {account["account"]: account for account in serving.status()["accounts"]}
    assert told["bert"]["id"].startswith(line["account"])
    assert told["bert"]["last_run"] == "failed"
    assert told["bert"]["failing_since"] <= told[anna]["last_complete"]
    assert told["bert"]["late"]
    assert not told[anna]["late"]


def test_the_schedules_host_needs_no_key_that_opens_mail(serving: Serving, anna: str) -> None:
    serving("key", "export", "--backup-only", "backup.key")
    serving.config["vault"] = {"url": serving.config["vault"]["url"], "key_file": "backup.key"}
    (serving.command.cwd / "passphrase").unlink()
    serving.job("hourly", every="1h", rpo="2h")
    serving.job("proof", every="1h", does="check", sample="100%")
    with serving.running():
        serving.await_("job ended", job="hourly", status="complete", new_messages="3")
        serving.await_("job ended", job="proof", status="complete")
    assert serving("status").code == 0
    serving.job("exercise", every="1h", does="drill")
    serving.write()
    assert_one_error(serving.command("run"), 2, "exercise", "does not read mail")


def test_a_job_prunes_by_the_retention_and_leaves_what_is_younger_than_the_grace(
    serving: Serving, anna: str, dovecot: DovecotServer
) -> None:
    serving.job("by-hand", retention={"last": 1})
    for _ in range(3):
        deliver(dovecot, anna, "INBOX", mails(1))
        serving("backup", "--job", "by-hand")
    serving.job("tidy", does="prune", every="1h")
    with serving.running():
        ended = serving.await_("job ended", job="tidy", status="complete")
        assert (ended["snapshots_kept"], ended["deleted_objects"]) == ("3", "0")
    assert {job["job"]: job["does"] for job in serving.status()["jobs"]} == {"by-hand": "backup", "tidy": "prune"}


def test_a_damaged_vault_is_told_by_the_job_that_checks_it(serving: Serving, anna: str) -> None:
    serving("backup", anna)
    for pack in (serving.vault / "packs").rglob("*"):
        if pack.is_file():
            pack.write_bytes(pack.read_bytes()[:-1])
    serving.job("proof", does="check", every="1h")
    with serving.running():
        assert int(serving.await_("job ended", job="proof", status="damaged")["damaged_objects"]) >= 1


def test_a_second_signal_leaves_at_once(serving: Serving, dovecot: DovecotServer) -> None:
    user = dovecot.new_user().name
    with cutting_proxy(dovecot.port, [10], stall=True) as proxy:
        serving.account(dovecot, user, port=proxy.port)
        serving.job("stalls", every="1h")
        with serving.running() as process:
            assert proxy.stalled.wait(30)
            process.send_signal(signal.SIGTERM)
            serving.await_("leaving")
            assert serving.leave(process) == 130
            assert serving.log("job ended") == []


def test_what_can_be_wrong_is_told_at_the_start(serving: Serving, anna: str) -> None:
    serving.write()
    assert_one_error(serving.command("run"), 2, "no job", "schedule")
    serving.job("hourly", every="1h")
    with serving.running():
        assert serving.command("run", "--probe").code == 0
        assert_one_error(serving.command("run"), 2, "cannot listen")
    assert serving.command("run", "--probe").code == 3
    (serving.command.cwd / "passphrase").write_text("another one")
    assert_one_error(serving.command("run"), 3, "does not open")


def test_without_a_configuration_there_is_nothing_to_run(command: Command, tmp_path: Path) -> None:
    assert_one_error(command("run", "--vault", f"file://{tmp_path}/vault"), 2, "configuration")
