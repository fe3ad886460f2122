"""Being told: messages arrive at a real mail server and by Apprise, each state once, and once more when it is over."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Command, Outcome, assert_one_error
from tests.cli.serving import SECONDS, Serving
from tests.corpus import MESSAGES
from tests.secret import PRIVATE_WORDS, new_secret
from tests.servers import DovecotServer, deliver
from tests.servers.process import free_ports, wait_for
from tests.servers.smtp import Mailroom, mailroom


@pytest.fixture
def serving(command: Command) -> Serving:
    return Serving(command)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Mailroom]:
    (tmp_path / "smtp").mkdir()
    with mailroom(tmp_path / "smtp") as open_room:
        yield open_room


@pytest.fixture
def chat() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """What Apprise's json:// posts to: its port, and what was posted."""
    posted: list[dict[str, Any]] = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append({"path": self.path, **json.loads(body)})
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  (the base class's name)
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Chat) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, posted
        server.shutdown()


def by_mail(serving: Serving, room: Mailroom, **settings: Any) -> None:
    """Have the configuration tell by mail."""
    (serving.command.cwd / "smtp-password").write_text(room.password)
    email = {
        "host": "localhost", "port": room.port, "ca": str(room.ca), "user": room.user,
        "password_file": "smtp-password", "from": "Restante <restante@example.org>", "to": ["admin@example.org"],
    }  # fmt: skip
    serving.config["notify"] = {"email": {k: v for k, v in {**email, **settings}.items() if v is not None}}


def wrong_password(serving: Serving, user: str, password: str | None = None) -> None:
    """Put another password into an account's file."""
    (serving.command.cwd / f"{user}.password").write_text(password or new_secret())


def damaged(vault: Path) -> dict[Path, bytes]:
    """Damage every pack; return what they held."""
    held = {path: path.read_bytes() for path in vault.glob("packs/**/*") if path.is_file()}
    for path, octets in held.items():
        path.chmod(0o600)
        place = len(octets) // 3
        path.write_bytes(octets[:place] + bytes([octets[place] ^ 1]) + octets[place + 1 :])
    return held


def run(serving: Serving, *arguments: str) -> Outcome:
    """Run a command whose exit code is its own."""
    serving.write()
    return serving.command(*arguments)


def body(room: Mailroom) -> str:
    """Return the text of the newest mail."""
    return str(room.mails[-1].get_content())


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


def test_what_apprise_reaches_is_told_too_and_its_url_is_a_secret(
    serving: Serving, dovecot: DovecotServer, chat: tuple[int, list[dict[str, Any]]]
) -> None:
    serving.account(dovecot, dovecot.new_user().name, rpo="2h")
    (serving.command.cwd / "url").write_text(f"json://127.0.0.1:{chat[0]}/{new_secret()}\n")
    serving.config["notify"] = {"apprise": [{"name": "chat", "url_file": "url"}]}
    assert [run(serving, "notify").code for _ in range(2)] == [0, 0]
    (posted,) = chat[1]
    assert "is late" in posted["title"]
    assert "What to do: " in posted["message"]


@pytest.mark.parametrize("url", ["nonsense://x", "json://127.0.0.1:{port}/{secret}"])
def test_an_apprise_url_that_leads_nowhere_is_told_without_it(serving: Serving, url: str) -> None:
    filled = url.format(port=free_ports(1)[0], secret=new_secret())
    (serving.command.cwd / "url").write_text(filled)
    serving.config["notify"] = {"apprise": [{"name": "chat", "url_file": "url"}]}
    outcome = run(serving, "notify", "--test")
    assert outcome.code == 3
    assert "chat: NOT told" in outcome.out
    assert filled not in outcome.out
    assert outcome.err == ""


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


def test_one_channel_that_fails_keeps_the_others_from_hearing_nothing_and_from_hearing_it_twice(
    serving: Serving, dovecot: DovecotServer, room: Mailroom, chat: tuple[int, list[dict[str, Any]]]
) -> None:
    serving.account(dovecot, dovecot.new_user().name, rpo="2h")
    by_mail(serving, room)
    (serving.command.cwd / "url").write_text(f"json://127.0.0.1:{chat[0]}/")
    serving.config["notify"]["apprise"] = [{"name": "chat", "url_file": "url"}]
    room.refuses = True
    assert [run(serving, "notify").code for _ in range(2)] == [1, 1]
    room.refuses = False
    assert [run(serving, "notify").code for _ in range(2)] == [0, 0]
    assert (len(chat[1]), len(room.mails)) == (1, 1)


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


def test_a_replica_that_can_not_be_reached_is_told(serving: Serving, dovecot: DovecotServer, room: Mailroom) -> None:
    by_mail(serving, room)
    url = f"s3://nowhere?endpoint_url=http://127.0.0.1:{free_ports(1)[0]}&region=us-east-1&patience=1"
    serving.config["replicas"] = [{"name": "offsite", "url": url}]
    serving.write()
    away = serving.command.with_(AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY=new_secret())
    assert [away("copy", "--to", "offsite").code for _ in range(2)] == [3, 3]
    assert room.subjects == ["[restante] `restante copy` failed"]
    assert "The error: " in body(room)


def arrived(serving: Serving, room: Mailroom, number: int) -> list[str]:
    """Wait until the mail server has so many messages; return their subjects."""
    wait_for(lambda: len(room.mails) >= number, SECONDS, serving.log_path.read_text)
    return room.subjects


def test_the_service_tells_once_over_restarts_and_beside_a_one_off_command(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    serving.account(dovecot, user := dovecot.new_user().name)
    wrong_password(serving, user)
    serving.job("often", every="1s")
    by_mail(serving, room)
    for _ in range(2):
        with serving.running() as process:
            arrived(serving, room, 1)
            serving.await_("job ended", times=2, job="often", status="failed")
            serving.leave(process)
    assert run(serving, "backup", "--job", "often").code == 3
    assert room.subjects == ['[restante] Job "often" failed']
    wrong_password(serving, user, dovecot.password(user))
    with serving.running() as process:
        arrived(serving, room, 2)
        serving.await_("told", channel="email", over="1")
        serving.await_("job ended", times=2, job="often", status="complete")
        serving.leave(process)
    assert run(serving, "backup", "--job", "often").code == 0
    assert len(room.subjects) == 2
    assert 'Job "often" is well again' in room.subjects[1]


LOOKING_EACH_SECOND = "import restante.service, restante.cli; restante.service.LOOK_SECONDS = 1; restante.cli.run()"


def test_the_service_tells_of_an_account_that_becomes_late_between_runs(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    serving.account(dovecot, user := dovecot.new_user().name, rpo="3s")
    serving.job("yearly", cron="0 0 1 1 *")
    by_mail(serving, room)
    serving("backup", "--job", "yearly")
    with serving.running("-c", LOOKING_EACH_SECOND) as process:
        assert arrived(serving, room, 1) == [f"[restante] {user} is late: no complete backup as new as promised"]
        serving.leave(process)
    assert not serving.log("job started")


def test_a_new_account_is_not_late_before_the_service_has_waited_that_long(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    serving.account(dovecot, dovecot.new_user().name, rpo="1h")
    serving.account(dovecot, lost := dovecot.new_user().name)
    wrong_password(serving, lost)
    serving.job("often", every="1s", accounts=[lost])
    by_mail(serving, room)
    with serving.running() as process:
        assert arrived(serving, room, 1) == ['[restante] Job "often" failed']
        serving.await_("job ended", times=2, job="often")
        serving.leave(process)
    assert "is late" not in body(room)


def test_the_service_tells_once_that_the_vault_is_away_and_once_that_it_is_back(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    serving.account(dovecot, dovecot.new_user().name)
    serving.job("often", every="1s")
    by_mail(serving, room)
    with serving.running() as process:
        serving.await_("job ended", job="often", status="complete")
        serving.vault.rename(serving.vault.with_suffix(".away"))
        assert arrived(serving, room, 1) == ["[restante] The vault can't be reached"]
        serving.await_("job ended", times=3, job="often", status="failed")
        serving.vault.with_suffix(".away").rename(serving.vault)
        assert "The vault can be reached again" in arrived(serving, room, 2)[1]
        serving.leave(process)
    assert len(room.mails) == 2


def test_a_mail_server_that_refuses_stops_no_job_and_shows_in_log_and_metrics(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    serving.account(dovecot, dovecot.new_user().name)
    serving.account(dovecot, lost := dovecot.new_user().name)
    wrong_password(serving, lost)
    serving.job("often", every="1s")
    by_mail(serving, room)
    room.refuses = True
    with serving.running() as process:
        serving.await_("not told", times=2, channel="email")
        figures = serving.get("/metrics")[1]
        serving.await_("job ended", times=3, job="often")
        room.refuses = False
        arrived(serving, room, 1)
        serving.await_("told", channel="email")
        assert 'restante_notices_waiting{channel="email"} 0' in serving.get("/metrics")[1]
        serving.leave(process)
    assert 'restante_notices_waiting{channel="email"} 1' in figures
    assert 'restante_notify_failures_total{channel="email"}' in figures


def test_a_mail_server_that_is_silent_keeps_nobody_from_leaving(serving: Serving, dovecot: DovecotServer) -> None:
    serving.account(dovecot, user := dovecot.new_user().name)
    wrong_password(serving, user)
    serving.job("often", every="1s")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        to = {"from": "restante@example.org", "to": ["admin@example.org"]}
        port = silent.getsockname()[1]
        serving.config["notify"] = {"email": {"host": "127.0.0.1", "port": port, **to}}
        with serving.running() as process:
            connection, _ = silent.accept()
            with connection:
                serving.await_("job ended", times=3, job="often")
                assert serving.leave(process, seconds=10) in {0, 130}


def test_a_trial_tells_by_every_channel_and_says_which_took_it(
    serving: Serving, room: Mailroom, chat: tuple[int, list[dict[str, Any]]]
) -> None:
    by_mail(serving, room)
    serving.config["notify"]["apprise"] = [{"name": "chat", "url_env": "CHAT"}]
    serving.write()
    reached = serving.command.with_(CHAT=f"json://127.0.0.1:{chat[0]}/{new_secret()}")
    outcome = reached("notify", "--test", "--json")
    assert (outcome.code, outcome.document["status"]) == (0, "complete")
    assert [(one["channel"], one["arrived"]) for one in outcome.document["channels"]] == [
        ("email", True),
        ("chat", True),
    ]
    assert room.subjects == [posted["title"] for posted in chat[1]] == ["[restante] test"]
    room.refuses = True
    outcome = reached("notify", "--test")
    assert outcome.code == 1
    assert outcome.out.splitlines() == [
        "email: NOT told: the server refused the message (451)",
        "chat: taken",
    ]


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"ca": None}, "certificate is not trusted"),
        ({"password_file": "other"}, "refused user and password (535)"),
        ({"password_file": "missing"}, "cannot read the SMTP password"),
        ({"user": None, "password_file": None}, "refused the message (530)"),
        ({"user": "jürgen"}, "letters beyond ASCII"),
    ],
)
def test_what_keeps_a_mail_from_going_is_said_in_words(
    serving: Serving, room: Mailroom, settings: dict[str, Any], words: str
) -> None:
    (serving.command.cwd / "other").write_text(new_secret())
    by_mail(serving, room, **settings)
    outcome = run(serving, "notify", "--test")
    assert outcome.code == 3
    assert words in outcome.out
    assert room.mails == []


def test_mail_goes_by_tls_from_the_start(serving: Serving, tmp_path: Path) -> None:
    with mailroom(tmp_path, "implicit") as room:
        by_mail(serving, room, tls="implicit")
        assert run(serving, "notify", "--test").code == 0
        assert room.sealed == [True]


def test_nothing_is_sent_in_plain_text_unless_that_is_asked_for(serving: Serving, tmp_path: Path) -> None:
    with mailroom(tmp_path, "plain") as room:
        by_mail(serving, room, user=None, password_file=None)
        outcome = run(serving, "notify", "--test")
        assert outcome.code == 3
        assert "does not offer what is asked of it: STARTTLS" in outcome.out
        by_mail(serving, room, user=None, password_file=None, ca=None, insecure=True)
        assert run(serving, "notify", "--test").code == 0
        assert room.sealed == [False]


def test_a_recipient_who_is_refused_keeps_the_others_from_nothing_but_a_trial_says_so(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    serving.account(dovecot, dovecot.new_user().name, rpo="2h")
    by_mail(serving, room, to=["admin@example.org", "gone@example.org"])
    room.unknown = {"gone@example.org"}
    trial = run(serving, "notify", "--test")
    assert trial.code == 3
    assert "refused 1 of 2 recipients" in trial.out
    told = [run(serving, "notify") for _ in range(2)]
    assert [outcome.code for outcome in told] == [0, 0]
    assert "email: told (the server refused 1 of 2 recipients)" in told[0].out
    assert len(room.mails) == 2


def test_where_nobody_is_named_notify_says_so(serving: Serving, room: Mailroom) -> None:
    assert_one_error(run(serving, "notify", "--test"), 2, "names nobody to tell")
    by_mail(serving, room)
    elsewhere = f"file://{serving.vault}-copy"
    assert_one_error(run(serving, "notify", "--vault", elsewhere), 2, "names nobody to tell")


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


@pytest.mark.parametrize(
    "notify, words",
    [
        ({}, "does not say by which way"),
        ({"apprise": [{"name": "chat"}]}, "does not say where its URL stands"),
        ({"apprise": [{"name": "chat", "url_env": "A", "url_file": "b"}]}, "url_env and url_file are both set"),
        ({"apprise": [{"name": "email", "url_env": "A"}]}, "email is a way of its own"),
        ({"apprise": [{"name": "a", "url_env": "A"}, {"name": "a", "url_env": "B"}]}, "two apprise are called a"),
        ({"email": {"host": "h", "to": ["a@b"]}}, "notify.email.from is missing"),
        ({"email": {"host": "h", "from": "nobody", "to": ["a@b"]}}, "not an e-mail address"),
        ({"email": {"host": "h", "from": "a@b", "to": []}}, "notify.email.to"),
        ({"email": {"host": "h", "from": "a@b", "to": ["a@b"], "user": "u"}}, "user and password go together"),
        ({"email": {"host": "h", "from": "a@b", "to": ["a@b"], "insecure": True, "ca": "x"}}, "means nothing to plain"),
        ({"email": {"host": "h", "from": "a@b\r\nBcc: c@d", "to": ["a@b"]}}, "not an e-mail address"),
        ({"email": {"host": "h", "form": "a@b", "to": ["a@b"]}}, "form is not a setting"),
        ({"email": {"host": "h", "from": "a@b", "to": ["a@b"]}, "about": ["everything"]}, "notify.about.0"),
    ],
)
def test_faults_of_the_section_are_named(serving: Serving, notify: dict[str, Any], words: str) -> None:
    serving.config["notify"] = notify
    outcome = run(serving, "config", "check")
    assert outcome.code == 2
    assert words in outcome.err
