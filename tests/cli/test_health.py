"""What the service answers over HTTP about itself, whatever state it is in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from restante.health import answer
from restante.history import History, Standing
from restante.state import JobState, State
from vault.ids import AccountId

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Noon:
    """A clock that stands still."""

    def now(self) -> datetime:
        return NOW


def state(*, hours: float = 1, alive: bool = True) -> State:
    anna = Standing(AccountId("aa"), complete=NOW - hours * HOUR)
    job = JobState("hourly", "backup", NOW, None, {}, {})
    return State({"anna": 4 * HOUR}, History({"anna": anna}), NOW, (job,), alive)


@pytest.mark.parametrize(
    "hours, alive, livez, healthz, word",
    [(1, True, 200, 200, "ok"), (5, True, 200, 503, "late"), (1, False, 503, 503, "stalled")],
)
def test_a_late_account_is_no_reason_to_restart_the_service_but_a_schedule_that_stands_still_is(
    hours: float, alive: bool, livez: int, healthz: int, word: str
) -> None:
    now = state(hours=hours, alive=alive)
    assert answer("/livez", now, Noon())[0] == livez
    status, kind, body = answer("/healthz?verbose", now, Noon())
    assert (status, kind) == (healthz, "application/json")
    assert json.loads(body) == {"status": word, "accounts": 1, "late": int(hours > 4), "running": ["hourly"]}
    assert f"restante_alive {int(alive)}\n" in answer("/metrics", now, Noon())[2]


def test_there_is_nothing_else_to_see() -> None:
    assert answer("/", state(), Noon())[0] == 404
    assert answer("/metrics/../etc/passwd", state(), Noon())[0] == 404
