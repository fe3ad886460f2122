"""A clock that is put back while the service runs."""

from __future__ import annotations

import signal
import threading
from datetime import datetime, timedelta

import pytest

from restante import service as module
from restante.service import Service
from restante.wiring import Wiring
from tests.cli.command import Command
from tests.cli.serving import Serving
from tests.servers import DovecotServer
from tests.servers.process import wait_for
from vault.clock import SystemClock


class WrongClock:
    """A clock that is a day ahead until it is set right; the scheduler's own is right all the time."""

    def __init__(self) -> None:
        self.ahead = timedelta(days=1)

    def now(self) -> datetime:
        return SystemClock().now() + self.ahead


def test_a_clock_that_is_put_back_by_a_day_silences_no_job_for_a_day(
    command: Command, dovecot: DovecotServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = Serving(command)
    serving.account(dovecot, dovecot.new_user().name)
    serving.job("hourly", every="1h")
    serving.write()
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.2)
    clock = WrongClock()
    service = Service(Wiring(command.cwd / "restante.yaml", None), clock)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        wait_for(lambda: service.state().jobs[0].next_run is not None, 20)
        assert service.state().jobs[0].runs == {}
        clock.ahead = timedelta()
        wait_for(lambda: service.state().jobs[0].runs == {"complete": 1}, 20)
    finally:
        service.heard(signal.SIGTERM)
        thread.join()
