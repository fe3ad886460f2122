"""One-off commands tell each state once, and once more when it is over; what was told stands in the vault."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from tests.cli.command import assert_one_error
from tests.cli.serving import Serving
from tests.cli.test_terminal import on_a_terminal
from tests.corpus import MESSAGES
from tests.proxy import cutting_proxy
from tests.secret import PRIVATE_WORDS, new_secret
from tests.servers import DovecotServer, RcloneS3, deliver
from tests.servers.process import free_ports
from tests.servers.smtp import Mailroom
from tests.telling.told import body, by_mail, damaged, run, wrong_password


def test_a_failure_is_told_once_by_commands_in_turn_and_its_recovery_once(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    user = dovecot.new_user().name
    serving.account(dovecot, user)
    by_mail(serving, room)
    wrong_password(serving, user)
    assert [run(serving, "backup").code for _ in range(3)] == [3, 3, 3]
    assert room.subjects == ["[restante] `restante backup` failed"]
    assert room.sealed == [True]
    told = body(room)
    assert f"Not backed up as a whole: {user} (" in told
    assert "refuse" in told
    assert "Since: 20" in told
    assert "What to do: " in told
    wrong_password(serving, user, dovecot.password(user))
    assert [run(serving, "backup").code for _ in range(2)] == [0, 0]
    assert len(room.mails) == 2
    assert "`restante backup` is well again" in room.subjects[1]


def test_a_message_has_what_mail_needs_and_nothing_of_the_mail_that_is_backed_up(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    user, other = dovecot.new_user().name, dovecot.new_user().name
    deliver(dovecot, user, "INBOX", list(MESSAGES.values()))
    serving.account(dovecot, user)
    serving.account(dovecot, other)
    wrong_password(serving, other)
    by_mail(serving, room, to=["admin@example.org", "Night <night@example.org>"])
    assert run(serving, "backup").code == 1
    (mail,) = room.mails
    assert mail["From"] == "Restante <restante@example.org>"
    assert mail["To"] == "admin@example.org, Night <night@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"]
    assert mail["Message-ID"].endswith("@example.org>")
    assert room.envelopes[0].rcpt_tos == ["admin@example.org", "night@example.org"]
    assert not any(word in mail.as_string() for word in PRIVATE_WORDS)


def test_an_account_without_a_backup_is_late_once_and_the_first_backup_is_its_recovery(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    user = dovecot.new_user().name
    serving.account(dovecot, user, rpo="2h")
    by_mail(serving, room)
    assert [run(serving, "notify").code for _ in range(2)] == [0, 0]
    assert room.subjects == [f"[restante] {user} is late: no complete backup as new as promised"]
    assert "at most 2 h 0 min old" in body(room)
    serving("backup")
    assert len(room.mails) == 2
    assert f"{user} is no longer late" in room.subjects[1]


def test_several_troubles_at_the_same_moment_come_in_one_message(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    users = [dovecot.new_user().name for _ in range(3)]
    for user in users:
        serving.account(dovecot, user, rpo="2h")
        wrong_password(serving, user)
    by_mail(serving, room)
    assert run(serving, "backup").code == 3
    assert room.subjects == ["[restante] `restante backup` failed (and 1 thing more)"]
    assert "3 accounts are late: no complete backup" in body(room)
    assert all(body(room).count(user) >= 2 for user in users)


def test_a_message_that_does_not_arrive_stops_nothing_and_is_told_at_the_next_occasion(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    serving.account(dovecot, dovecot.new_user().name)
    serving.account(dovecot, lost := dovecot.new_user().name)
    wrong_password(serving, lost)
    by_mail(serving, room)
    room.refuses = True
    outcome = run(serving, "backup")
    assert outcome.code == 1
    warnings = [line for line in outcome.err.splitlines() if line.startswith("warning: not told")]
    assert warnings == [
        "warning: not told by email: the server refused the message (451); it is tried again at the next run",
    ]
    assert serving.status()["not_told"] == {"email": 1}
    assert "email: 1 thing is not told yet" in serving("status").out
    room.refuses = False
    assert run(serving, "check").code == 0
    assert room.subjects == ["[restante] `restante backup` was partial"]
    assert serving.status()["not_told"] == {}


def test_a_dry_run_tells_nobody_and_remembers_nothing(serving: Serving, dovecot: DovecotServer, room: Mailroom) -> None:
    serving.account(dovecot, user := dovecot.new_user().name, rpo="2h")
    by_mail(serving, room)
    outcomes = [run(serving, "notify", "--dry-run", "--json") for _ in range(2)]
    assert all(user in outcome.document["channels"][0]["begun"][0] for outcome in outcomes)
    assert room.mails == []


def test_only_what_is_asked_for_is_told(serving: Serving, dovecot: DovecotServer, room: Mailroom) -> None:
    serving.account(dovecot, user := dovecot.new_user().name, rpo="2h")
    wrong_password(serving, user)
    by_mail(serving, room)
    serving.config["notify"]["about"] = ["failed"]
    assert run(serving, "backup").code == 3
    wrong_password(serving, user, dovecot.password(user))
    assert run(serving, "backup").code == 0
    assert room.subjects == ["[restante] `restante backup` failed"]


def test_a_vault_that_can_not_be_reached_is_told_though_it_can_not_be_remembered(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    serving.account(dovecot, dovecot.new_user().name)
    by_mail(serving, room)
    serving("backup")
    serving.vault.rename(serving.vault.with_suffix(".away"))
    assert run(serving, "backup").code == 3
    assert room.subjects == ["[restante] The vault can't be reached"]
    assert "may tell this again" in body(room)
    serving.vault.with_suffix(".away").rename(serving.vault)
    assert run(serving, "backup").code == 0
    assert len(room.mails) == 1


def test_an_account_that_vanishes_is_told_and_so_is_its_return(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    for user in (users := [dovecot.new_user().name for _ in range(2)]):
        serving.account(dovecot, user)
    serving.job("nightly")
    by_mail(serving, room)
    serving("backup", "--job", "nightly")
    gone = serving.config["accounts"].pop()
    for _ in range(2):
        serving("backup", "--job", "nightly")
    assert room.subjects == [f"[restante] {users[1]} is no longer among the accounts; the snapshots stay"]
    serving.config["accounts"].append(gone)
    serving("backup", "--job", "nightly")
    assert f"{users[1]} is back among the accounts" in body(room)


def test_damage_is_over_only_once_everything_was_read_and_found_good(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    deliver(dovecot, user := dovecot.new_user().name, "INBOX", list(MESSAGES.values()))
    serving.account(dovecot, user)
    serving("backup")
    ((pack, sound),) = damaged(serving.vault).items()
    by_mail(serving, room)
    assert run(serving, "check", "--read").code == 4
    assert room.subjects == ["[restante] Damage was found in the vault"]
    pack.write_bytes(sound)
    assert [run(serving, *check).code for check in (("check",), ("check", "--read", "--sample", "50%"))] == [0, 0]
    assert len(room.mails) == 1
    assert run(serving, "check", "--read").code == 0
    assert "The vault is whole again" in room.subjects[1]


def test_a_drill_that_finds_less_than_there_should_be_is_told(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    deliver(dovecot, user := dovecot.new_user().name, "INBOX", list(MESSAGES.values()))
    serving.account(dovecot, user)
    serving("backup")
    damaged(serving.vault)
    by_mail(serving, room)
    assert [run(serving, "drill").code for _ in range(2)] == [4, 4]
    assert room.subjects == ["[restante] `restante drill` did not prove itself"]


def test_suspended_expiry_is_told_and_so_is_that_it_was_acknowledged(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    mails = deliver(dovecot, user := dovecot.new_user().name, "INBOX", list(MESSAGES.values()))
    serving.account(dovecot, user)
    by_mail(serving, room)
    serving("backup")
    for path in mails[1:]:
        path.unlink()
    serving("backup")
    assert [run(serving, "prune").code for _ in range(2)] == [0, 0]
    assert room.subjects == [f"[restante] {user}: over half of the mail is gone at once, so old snapshots are kept"]
    assert run(serving, "prune", "--acknowledge", user).code == 0
    assert f"{user}: snapshots expire again" in body(room)


def test_where_the_vault_can_only_be_read_the_work_is_done_and_told_and_a_warning_says_what_follows(
    serving: Serving, dovecot: DovecotServer, room: Mailroom, tmp_path: Path
) -> None:
    s3 = RcloneS3.start(tmp_path / "s3", read_only=True)
    try:
        shutil.copytree(serving.vault, s3.data / "bucket")
        serving.config["vault"]["url"] = f"{s3.vault_url('bucket')}&patience=1"
        serving.account(dovecot, dovecot.new_user().name, rpo="2h")
        by_mail(serving, room)
        serving.write()
        outcome = serving.command.with_(**s3.environment)("check")
    finally:
        s3.stop()
    assert outcome.code == 0
    assert len(room.mails) == 1
    assert "warning: how this run ended can't be written into the vault: " in outcome.err
    assert "warning: what was told can't be remembered, and may be told again: " in outcome.err


def test_a_backup_that_is_told_to_stop_leaves_without_telling_anybody(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    with cutting_proxy(dovecot.port, [10], stall=True) as proxy:
        serving.account(dovecot, dovecot.new_user().name, port=proxy.port, rpo="2h")
        by_mail(serving, room)
        serving.write()
        process = serving.command.process("backup")
        assert proxy.stalled.wait(30)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert room.mails == []
    assert run(serving, "notify").code == 0
    assert len(room.mails) == 1


def test_users_who_can_not_be_listed_are_a_failure_that_is_told_once_and_nobody_is_called_gone(
    serving: Serving, room: Mailroom
) -> None:
    by_mail(serving, room)
    listed = {"url": "imaps://master@127.0.0.1:1", "password_file": "passphrase", "users_command": "false"}
    serving.config["servers"] = [{"name": "mail", **listed}]
    assert [run(serving, "backup").code for _ in range(2)] == [2, 2]
    assert room.subjects == ["[restante] `restante backup` failed"]
    assert "The error: the command for the users of mail failed with exit code 1" in body(room)


def test_what_someone_types_wrong_at_a_terminal_is_told_to_nobody_else(serving: Serving, room: Mailroom) -> None:
    by_mail(serving, room)
    serving.write()
    assert on_a_terminal(serving.command, "backup", "nobody", typed=[])[0] == 2
    assert room.mails == []
    assert run(serving, "backup", "nobody").code == 2
    assert len(room.mails) == 1


def test_a_replica_that_can_not_be_reached_is_told(serving: Serving, dovecot: DovecotServer, room: Mailroom) -> None:
    by_mail(serving, room)
    url = f"s3://nowhere?endpoint_url=http://127.0.0.1:{free_ports(1)[0]}&region=us-east-1&patience=1"
    serving.config["replicas"] = [{"name": "offsite", "url": url}]
    serving.write()
    away = serving.command.with_(AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY=new_secret())
    assert [away("copy", "--to", "offsite").code for _ in range(2)] == [3, 3]
    assert room.subjects == ["[restante] `restante copy` failed"]
    assert "The error: " in body(room)


def test_notify_ends_as_failed_where_it_could_not_look(serving: Serving, room: Mailroom) -> None:
    by_mail(serving, room)
    serving.vault.rename(serving.vault.with_suffix(".away"))
    assert_one_error(run(serving, "notify"), 3, "vault")
    assert len(room.mails) == 1


def test_what_was_told_survives_a_prune_and_travels_with_a_copy(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    serving.account(dovecot, dovecot.new_user().name, rpo="2h")
    by_mail(serving, room)
    run(serving, "notify")
    serving("prune")
    copied = f"file://{serving.vault}-copy"
    serving("copy", "--to", copied)
    serving("check", "--read")
    serving.config["vault"]["url"] = copied
    assert run(serving, "notify").code == 0
    assert len(room.mails) == 1
