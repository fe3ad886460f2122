"""`restante status`, /healthz and /metrics: all three say the same."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from restante.history import History, Standing
from restante.judging import fair_order, judge
from restante.metrics import METRICS
from tests.cli.command import Command
from tests.cli.serving import Serving
from tests.servers import DovecotServer
from tests.servers.maildir import deliver
from vault.ids import AccountId

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def serving(command: Command, dovecot: DovecotServer) -> Serving:
    """A service with one account; `anna` in `accounts`."""
    serving = Serving(command)
    user = dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [b"Subject: one\r\n\r\none\r\n"])
    serving.account(dovecot, user)
    return serving


def history(**hours_ago: float | None) -> History:
    return History(
        {
            name: Standing(AccountId(name), complete=None if ago is None else NOW - ago * HOUR)
            for name, ago in hours_ago.items()
        }
    )


def test_an_account_is_late_when_its_newest_complete_snapshot_is_older_than_its_rpo_or_there_is_none() -> None:
    known = history(fresh=1, stale=5, exact=4, never=None, unpromised=500)
    rpo = {"fresh": 4 * HOUR, "stale": 4 * HOUR, "exact": 4 * HOUR, "never": 4 * HOUR, "unpromised": None}
    late = {verdict.account for verdict in judge({**rpo, "unknown": 4 * HOUR}, known, NOW) if verdict.late}
    assert late == {"stale", "never", "unknown"}


def test_the_account_whose_complete_snapshot_is_oldest_comes_first() -> None:
    known = history(a=1, b=3, c=None, d=2)
    assert fair_order(["a", "b", "c", "d", "new"], known) == ["c", "new", "b", "d", "a"]


def test_status_tells_the_same_as_healthz_and_metrics_before_and_after_the_rpo_is_over(serving: Serving) -> None:
    (account,) = serving.config["accounts"]
    serving.job("by-hand", accounts=["*"], rpo="5s")
    serving.job("nightly", does="check", cron="0 3 * * *")
    assert serving("status").code == 1
    assert serving.status()["accounts"][0]["last_complete"] is None
    serving("backup", "--job", "by-hand")
    # What an account promises itself counts more than what its jobs do.
    account["rpo"] = "1h"
    assert serving("status").code == 0
    with serving.running():
        assert serving.get("/livez")[0] == 200
        code, body = serving.get("/healthz")
        assert (code, json.loads(body)["status"]) == (200, "ok")
        assert sample(serving, "account_late") == 0
    time.sleep(5)
    del account["rpo"]
    with serving.running():
        code, body = serving.get("/healthz")
        assert (code, json.loads(body)) == (503, {"status": "late", "accounts": 1, "late": 1, "running": []})
        assert sample(serving, "account_late") == 1
        assert sample(serving, "accounts_late") == 1
        assert sample(serving, "account_rpo_seconds") == 5
        told = serving("status", "--json")
        assert told.code == 1
        (one,) = told.document["accounts"]
        complete = datetime.fromisoformat(one["last_complete"]).timestamp()
        assert sample(serving, "account_last_complete_timestamp_seconds") == complete
        assert sample(serving, "account_messages") == one["messages"] == 1
        assert sample(serving, "account_bytes") == one["bytes"]
        assert serving.get("/livez")[0] == 200
        assert serving.get("/elsewhere")[0] == 404
    assert told.document["jobs"][0]["job"] == "by-hand"
    assert "over the RPO" in serving("status").out


def sample(serving: Serving, name: str) -> float:
    """Return the value of a metric that has one."""
    (value,) = re.findall(rf"^restante_{name}(?:\{{.*\}})? (\S+)$", serving.get("/metrics")[1], re.MULTILINE)
    return float(value)


def test_the_metrics_are_prometheus_text_and_hold_all_that_are_declared(serving: Serving) -> None:
    serving.config["accounts"][0]["name"] = 'a "quoted\\name'
    serving.job("often", every="1s", rpo="1h")
    with serving.running():
        serving.await_("job ended", times=2)
        text = serving.get("/metrics")[1]
    label = r'[a-z_]+="(?:[^"\\\n]|\\["\\n])*"'
    for line in text.splitlines():
        assert re.fullmatch(
            rf"# (HELP|TYPE) restante_[a-z_]+ .+|restante_[a-z_]+(\{{{label}(,{label})*\}})? [0-9.e+]+", line
        )
    assert 'account="a \\"quoted\\\\name"' in text
    declared = {f"restante_{metric.name}" for metric in METRICS}
    assert set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)) == declared
    undrilled = {"restante_drill_timestamp_seconds", "restante_drill_rto_seconds"}
    unasked = {"restante_notices_waiting", "restante_notify_failures_total"}
    assert set(re.findall(r"^(restante_[a-z_]+)", text, re.MULTILINE)) == declared - undrilled - unasked


def test_the_last_drill_is_told_wherever_it_ran_and_after_a_restart(serving: Serving) -> None:
    serving("backup")
    assert serving.status()["drill"] is None
    serving("drill")
    drill = serving.status()["drill"]
    assert drill["status"] == "complete"
    assert "last drill: complete" in serving("status").out
    serving.job("nightly", does="check", cron="0 3 * * *")
    with serving.running():
        assert sample(serving, "drill_rto_seconds") == drill["rto_seconds"]
        assert sample(serving, "drill_timestamp_seconds") == datetime.fromisoformat(drill["finished"]).timestamp()


def test_an_account_that_left_the_configuration_is_told_and_never_late(serving: Serving) -> None:
    serving("backup")
    (gone,) = serving.config["accounts"]
    serving.config["accounts"] = []
    told = serving.status()
    assert told["status"] == "complete"
    assert [(account["account"], account["rpo"]) for account in told["accounts"]] == [(gone["name"], None)]


def test_a_failed_login_is_told_with_since_when_and_goes_when_it_works_again(serving: Serving) -> None:
    serving("backup")
    (account,) = serving.config["accounts"]
    right, account["password_file"] = account["password_file"], "passphrase"
    serving.write()
    for _ in range(2):
        assert serving.command("backup").code == 3
    told = serving.status()["accounts"][0]
    assert told["last_run"] == "failed"
    assert told["failing_since"] > told["last_complete"]
    account["password_file"] = right
    serving("backup")
    again = serving.status()["accounts"][0]
    assert again["last_run"] == "complete"
    assert again["failing_since"] is None
    assert again["last_complete"] > told["last_complete"]


def test_a_damaged_run_record_hides_nothing_else(serving: Serving) -> None:
    serving("backup")
    before = serving.status()["accounts"]
    time.sleep(1)
    serving("backup")
    newest = max((serving.vault / "runs").iterdir())
    newest.write_bytes(newest.read_bytes()[:-1])
    (after,) = serving.status()["accounts"]
    assert after["last_complete"] == before[0]["last_complete"]
