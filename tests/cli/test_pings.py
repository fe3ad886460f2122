"""Ping URLs: a monitor hears of start, success and failure, and a dead one stops nothing."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.cli.command import Command
from tests.cli.serving import SECONDS, Serving
from tests.proxy import cutting_proxy
from tests.secret import new_secret
from tests.servers import DovecotServer
from tests.servers.process import free_ports, wait_for


@pytest.fixture
def heard() -> Iterator[tuple[int, list[str]]]:
    """A monitor: its port, and the paths it was asked for."""
    paths: list[str] = []

    class Monitor(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  (the base class's name)
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Monitor) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, paths
        server.shutdown()


def _serving(command: Command, dovecot: DovecotServer, port: int, mail_port: int | None = None) -> tuple[Serving, str]:
    serving, secret = Serving(command), new_secret()
    serving.account(dovecot, dovecot.new_user().name, port=mail_port)
    (command.cwd / "ping").write_text(f"http://127.0.0.1:{port}/{secret}\n")
    serving.job("hourly", every="1h", ping_file="ping")
    return serving, secret


def test_a_monitor_hears_that_a_job_began_and_ended_well(
    command: Command, dovecot: DovecotServer, heard: tuple[int, list[str]]
) -> None:
    serving, secret = _serving(command, dovecot, heard[0])
    with serving.running():
        wait_for(lambda: len(heard[1]) == 2, SECONDS, serving.log_path.read_text)
    assert heard[1] == [f"/{secret}/start", f"/{secret}"]


def test_a_monitor_hears_that_a_job_failed(
    command: Command, dovecot: DovecotServer, heard: tuple[int, list[str]]
) -> None:
    serving, secret = _serving(command, dovecot, heard[0], free_ports(1)[0])
    with serving.running():
        wait_for(lambda: len(heard[1]) == 2, SECONDS, serving.log_path.read_text)
    assert heard[1] == [f"/{secret}/start", f"/{secret}/fail"]


def test_a_dead_monitor_stops_no_job_and_its_url_stays_out_of_the_log(command: Command, dovecot: DovecotServer) -> None:
    serving, _ = _serving(command, dovecot, free_ports(1)[0])
    with serving.running():
        serving.await_("job ended", job="hourly", status="complete")
        assert len(serving.log("ping not sent", job="hourly")) == 2


def test_a_run_that_is_interrupted_tells_its_monitor_no_end(
    command: Command, dovecot: DovecotServer, heard: tuple[int, list[str]]
) -> None:
    with cutting_proxy(dovecot.port, [10], stall=True) as proxy:
        serving, secret = _serving(command, dovecot, heard[0], proxy.port)
        with serving.running() as process:
            assert proxy.stalled.wait(30)
            assert serving.leave(process) == 130
            assert serving.log("job ended", job="hourly", status="interrupted")
    assert heard[1] == [f"/{secret}/start"]


@pytest.mark.parametrize("place", ["ping_env", "ping_command"])
def test_a_ping_url_may_stand_in_the_environment_or_come_from_a_command(
    command: Command, dovecot: DovecotServer, heard: tuple[int, list[str]], place: str
) -> None:
    secret = new_secret()
    url = f"http://127.0.0.1:{heard[0]}/{secret}"
    (command.cwd / "ping.py").write_text(f"print({url!r})\n")
    serving = Serving(command.with_(MONITOR=url))
    serving.account(dovecot, dovecot.new_user().name)
    serving.job("hourly", every="1h", **{place: "MONITOR" if place == "ping_env" else f"{sys.executable} ping.py"})
    with serving.running():
        wait_for(lambda: len(heard[1]) == 2, SECONDS, serving.log_path.read_text)
    assert heard[1] == [f"/{secret}/start", f"/{secret}"]
