"""The service tells after jobs and between them, and a silent mail server stops nothing."""

from __future__ import annotations

import socket

from tests.cli.serving import Serving
from tests.servers import DovecotServer
from tests.servers.smtp import Mailroom
from tests.telling.told import arrived, body, by_mail, run, wrong_password


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


LOOKING_EACH_SECOND = (
    "import restante.service, restante.__main__; restante.service.LOOK_SECONDS = 1; exit(restante.__main__.main())"
)


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
