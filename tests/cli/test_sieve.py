"""Sieve scripts by ManageSieve, both ways: kept as they are, given back inactive, never in place of another."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.command import Command, assert_one_error
from tests.cli.keeping import restoring, with_vault
from tests.corpus import plain_mail
from tests.servers import CyrusServer, DovecotServer, User
from tests.servers.process import free_ports
from tests.servers.sieveful import SievePlace, dovecot_with_sieve

SORT = b'require "fileinto";\r\n# OK\r\nif header :contains "subject" "x" { fileinto "INBOX"; }\r\n'
KEEP = b'keep; # "quoted" \\ and J\xc3\xb6rg\n'


@pytest.fixture(params=["dovecot", "cyrus"])
def place(request: pytest.FixtureRequest, start_dovecot: Callable[..., DovecotServer]) -> SievePlace:
    if request.param == "dovecot":
        return dovecot_with_sieve(start_dovecot)
    cyrus: CyrusServer = request.getfixturevalue("cyrus")
    return SievePlace(cyrus, cyrus.sieve_port)


@pytest.fixture
def ready(command: Command, tmp_path: Path) -> Command:
    return with_vault(command, tmp_path / "vault")


def new_user(place: SievePlace) -> User:
    user = place.server.new_user()
    with place.server.open(user.name) as imap:
        imap.append("INBOX", plain_mail(1))
    return user


def configured(ready: Command, place: SievePlace, user: User, **more: Any) -> Command:
    account = {"name": user.name, "url": place.server.url(user.name), "password_env": "THE_PASSWORD"}
    config = {"vault": {"url": ready.env["RESTANTE_VAULT"]}, "accounts": [{**account, "sieve": place.url, **more}]}
    (ready.cwd / "restante.yaml").write_text(yaml.safe_dump(config))
    return ready.with_(THE_PASSWORD=user.password)


def test_scripts_are_kept_and_come_back_inactive_as_they_were(ready: Command, place: SievePlace) -> None:
    user, heir = new_user(place), new_user(place)
    # Cyrus 3.6 encodes what is not ASCII in names, as in a header, and then lists them so.
    later = "later on" if isinstance(place.server, CyrusServer) else "für später"
    with place.open(user) as sieve:
        sieve.put("sort", SORT, active=True)
        sieve.put(later, KEEP)
    source = configured(ready, place, user)
    source.well("backup")
    first = source.well("snapshots", "--json").document
    quiet = source.well("backup", "--json").document
    assert quiet["store_puts"] == 1  # the run record
    assert source.well("snapshots", "--json").document == first
    assert ready.raw("cat", user.name, "sieve:sort")[1] == SORT
    listed = ready.well("ls", user.name).out
    assert "Sieve script sort (active)" in listed
    assert f"Sieve script {later}" in listed
    there = ("restore", user.name, "--to", place.server.url(heir.name))
    assert f"left out: Sieve scripts: {later}, sort" in restoring(ready, heir).well(*there, "--dry-run").out
    planned = restoring(ready, heir).well(*there, "--sieve", place.url, "--dry-run").out
    assert "Sieve script sort → sort: store" in planned
    with place.open(heir) as sieve:
        assert sieve.scripts() == {}
    for _ in range(2):
        report = restoring(ready, heir).well(*there, "--sieve", place.url, "--json").document["accounts"][0]
        assert report["altered"] == []
        with place.open(heir) as sieve:
            assert sieve.scripts() == {"sort": SORT, later: KEEP}
            assert sieve.active() == ""
    restoring(ready, heir).well(*there, "--sieve", place.url, "--activate-sieve")
    with place.open(heir) as sieve:
        assert sieve.active() == "sort"


def test_another_script_of_the_name_stays_and_the_restored_one_gets_a_new_name(
    ready: Command, place: SievePlace
) -> None:
    user, heir = new_user(place), new_user(place)
    with place.open(user) as sieve:
        sieve.put("sort", SORT, active=True)
    configured(ready, place, user).well("backup")
    with place.open(heir) as sieve:
        sieve.put("sort", KEEP, active=True)
    there = ("restore", user.name, "--to", place.server.url(heir.name), "--sieve", place.url)
    report = restoring(ready, heir).well(*there, "--json").document["accounts"][0]
    assert [one["what"] for one in report["altered"]] == [
        "its name becomes sort (restored): another script has its own"
    ]
    restoring(ready, heir).well(*there)
    with place.open(heir) as sieve:
        assert sieve.scripts() == {"sort": KEEP, "sort (restored)": SORT}
        assert sieve.active() == "sort"
    restoring(ready, heir).well(*there, "--activate-sieve")
    with place.open(heir) as sieve:
        assert sieve.active() == "sort (restored)"


def test_what_changed_or_went_is_in_the_next_snapshot_though_no_mail_came(ready: Command, place: SievePlace) -> None:
    user = new_user(place)
    source = configured(ready, place, user)
    with place.open(user) as sieve:
        sieve.put("sort", SORT)
    source.well("backup")
    before = source.well("snapshots", "--json").document[-1]["id"]
    with place.open(user) as sieve:
        sieve.put("sort", KEEP)
        sieve.put("more", SORT)
    source.well("backup")
    assert ready.raw("cat", user.name, "sieve:sort")[1] == KEEP
    assert ready.raw("cat", f"{user.name}@{before}", "sieve:sort")[1] == SORT
    with place.open(user) as sieve:
        sieve.do(b'DELETESCRIPT "more"')
    source.well("backup")
    assert_one_error(ready("cat", user.name, "sieve:more"), 2, "more")
    beside = ready.well("diff", f"{user.name}@{before}", user.name, "--json").document["beside"]
    assert [(one["what"], one["name"], one["after"]) for one in beside] == [
        ("script", "sort", f"{len(KEEP)} octets, inactive")
    ]


def test_a_place_for_scripts_that_is_down_costs_no_mail_and_no_script(ready: Command, place: SievePlace) -> None:
    user = new_user(place)
    with place.open(user) as sieve:
        sieve.put("sort", SORT)
    configured(ready, place, user).well("backup")
    with place.server.open(user.name) as imap:
        imap.append("INBOX", plain_mail(2))
    (closed,) = free_ports(1)
    outcome = configured(ready, place, user, sieve=f"sieve://127.0.0.1:{closed}?tls=off")("backup")
    assert_one_error(outcome, 1, "ManageSieve")
    shot = ready.well("snapshots", user.name, "--json").document[-1]
    assert (shot["status"], shot["messages"]) == ("partial", 2)
    assert ready.raw("cat", f"{user.name}@{shot['id']}", "sieve:sort")[1] == SORT


def test_scripts_need_a_server_and_activating_needs_scripts(ready: Command, tmp_path: Path) -> None:
    to = ("restore", "anna", "--to", f"eml:{tmp_path / 'mail'}")
    assert_one_error(ready(*to, "--activate-sieve"), 2, "--activate-sieve")
    assert_one_error(ready(*to, "--sieve", "imap://x"), 2, "ManageSieve")


def test_a_whole_servers_scripts_come_and_go_with_one_credential(
    ready: Command, start_dovecot: Callable[..., DovecotServer]
) -> None:
    place = dovecot_with_sieve(start_dovecot)
    assert isinstance(place.server, DovecotServer)
    users = [new_user(place) for _ in range(2)]
    for number, user in enumerate(users):
        with place.open(user) as sieve:
            sieve.put("sort", KEEP + b"# %d\n" % number)
    master = place.server.master
    url = f"imap://{master.name}@127.0.0.1:{place.server.port}?tls=off&master=*"
    server = {
        "name": "mail",
        "url": url,
        "password_env": "MASTER",
        "sieve": place.url,
        "users": [u.name for u in users],
    }
    config = {"vault": {"url": ready.env["RESTANTE_VAULT"]}, "servers": [server]}
    (ready.cwd / "restante.yaml").write_text(yaml.safe_dump(config))
    ready.with_(MASTER=master.password).well("backup")
    for user in users:
        with place.open(user) as sieve:
            sieve.do(b'DELETESCRIPT "sort"')
    restorer = restoring(ready, master)
    restorer.well("restore", "--all", "--to", url, "--sieve", place.url)
    for number, user in enumerate(users):
        with place.open(user) as sieve:
            assert sieve.scripts() == {"sort": KEEP + b"# %d\n" % number}


def test_a_stop_while_the_place_for_scripts_is_silent_ends_the_run_soon_and_its_mail_is_kept(
    ready: Command, dovecot: DovecotServer
) -> None:
    user = dovecot.new_user()
    with dovecot.open(user.name) as imap:
        imap.append("INBOX", plain_mail(1))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = SievePlace(dovecot, silent.getsockname()[1])
        process = configured(ready, place, user).process("backup", "--json")
        connection, _ = silent.accept()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10)
        connection.close()
    assert process.returncode == 130, err
    (account,) = json.loads(out)["accounts"]
    assert (account["status"], account["failures"]) == ("interrupted", [])
    (shot,) = ready.well("snapshots", "--json").document
    assert (shot["status"], shot["messages"]) == ("partial", 1)
