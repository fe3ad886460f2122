"""What goes wrong is told in one clear line with a hint, ends with the right exit code, and takes a bounded time."""

from __future__ import annotations

import json
import math
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import pytest

from tests.cli.ailing import ailing
from tests.cli.command import Command, Outcome, assert_one_error
from tests.cli.refusing import refusing_s3
from tests.corpus import octets, plain_mail
from tests.imap.scripted import HANG_UP, Script, scripted
from tests.proxy import cutting_proxy
from tests.secret import new_secret
from tests.servers import DovecotServer, RcloneS3, User
from tests.servers.maildir import deliver
from tests.servers.process import free_ports

PASSPHRASE = "RESTANTE_PASSPHRASE"


@pytest.fixture
def user(dovecot: DovecotServer) -> User:
    return dovecot.new_user()


@pytest.fixture
def ready(command: Command, user: User, tmp_path: Path) -> Command:
    """The command with a vault in a directory."""
    ready = command.with_(
        RESTANTE_VAULT=f"file://{tmp_path}/vault",
        RESTANTE_PASSPHRASE=new_secret(),
        RESTANTE_SOURCE_PASSWORD=user.password,
    )
    ready.process("init").communicate()
    return ready


def test_a_wrong_password_is_told(ready: Command, dovecot: DovecotServer, user: User) -> None:
    outcome = ready("backup", dovecot.imaps_url(user.name), RESTANTE_SOURCE_PASSWORD=new_secret())
    assert_one_error(outcome, 3, user.name)
    assert "password" in (outcome.errors + outcome.hints)[0] + outcome.hints[0]


def test_an_empty_password_file_is_told(ready: Command, dovecot: DovecotServer, user: User) -> None:
    (ready.cwd / "empty").touch()
    without = Command(ready.cwd, {k: v for k, v in ready.env.items() if k != "RESTANTE_SOURCE_PASSWORD"})
    assert_one_error(without("backup", dovecot.url(user.name)), 2, "no password was given")
    named = without.with_(RESTANTE_SOURCE_PASSWORD_FILE="empty")
    assert_one_error(named("backup", dovecot.url(user.name)), 2, "is empty")
    named = without.with_(RESTANTE_SOURCE_PASSWORD_FILE="missing")
    assert_one_error(named("backup", dovecot.url(user.name)), 2, "missing", "No such file")


def test_a_wrong_passphrase_is_told(ready: Command) -> None:
    assert_one_error(ready("snapshots", RESTANTE_PASSPHRASE=new_secret()), 3, "does not open vault", "2 slots")


def test_a_mistyped_recovery_key_is_told(ready: Command) -> None:
    assert_one_error(ready("snapshots", RESTANTE_PASSPHRASE="-".join(["ABCDEF"] * 9) + "-A"), 3, "typing error")


def test_a_key_file_of_another_vault_is_told(ready: Command, tmp_path: Path) -> None:
    ready.well("key", "export", "our.key")
    other = ready.with_(RESTANTE_VAULT=f"file://{tmp_path}/other")
    other.process("init").communicate()
    without = Command(other.cwd, {k: v for k, v in other.env.items() if k != "RESTANTE_PASSPHRASE"})
    assert_one_error(without("snapshots", RESTANTE_KEY_FILE="our.key"), 3, "another vault")
    assert_one_error(without("snapshots", RESTANTE_KEY_FILE="no.key"), 2, "no.key")
    assert_one_error(without("snapshots"), 2, "nothing was given to open the vault with")


def test_a_configured_key_file_that_is_not_there_is_told_with_the_line_that_makes_it(
    ready: Command, tmp_path: Path
) -> None:
    config = {"vault": {"url": ready.env["RESTANTE_VAULT"], "key_file": "backup.key"}}
    (tmp_path / "restante.yaml").write_text(json.dumps(config))
    scheduled = Command(ready.cwd, {k: v for k, v in ready.env.items() if k not in {"RESTANTE_VAULT", PASSPHRASE}})
    outcome = scheduled("snapshots")
    assert_one_error(outcome, 2, "no key file at backup.key", "vault.key_file")
    line = re.search(r"`restante (key export .+)`", outcome.hints[0])
    assert line, outcome.hints
    scheduled.well(*line[1].split(), RESTANTE_PASSPHRASE=ready.env[PASSPHRASE])
    scheduled.well("snapshots")


def test_an_unknown_host_is_told(ready: Command) -> None:
    assert_one_error(ready("backup", "imaps://jane@no-such-host.invalid"), 3, "no-such-host.invalid")


def test_a_refused_port_is_told(ready: Command) -> None:
    (port,) = free_ports(1)
    assert_one_error(ready("backup", f"imaps://jane@127.0.0.1:{port}"), 3, "127.0.0.1", str(port), "refuses")


def test_a_server_that_talks_nonsense_is_told_and_changes_nothing_in_the_vault(
    ready: Command, dovecot: DovecotServer, user: User
) -> None:
    deliver(dovecot, user.name, "INBOX", [plain_mail(1)])
    ready.well("backup", dovecot.url(user.name))
    for script, words in (
        (Script(greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n" + HANG_UP), "does not answer as an IMAP server does"),
        (Script({"^LOGIN": [b"* ))) garbage (((\r\n\xff\r\n"]}), "something that is not IMAP"),
        (Script({"^(LIST|LSUB)": [b"TAG BAD what?\r\n"]}), "what?"),
        (Script({"^(LIST|LSUB)": [b"TAG OK\r\n"]}), "no mailbox at all"),
    ):
        with scripted(script) as server:
            outcome = ready("backup", dovecot.url(user.name).replace(f":{dovecot.port}", f":{server.port}"))
        assert_one_error(outcome, 3, words)
    (kept,) = ready.well("snapshots", "--json").document
    assert (kept["status"], kept["messages"]) == ("complete", 1)
    ready.well("check", "--read")


def test_a_message_at_which_the_server_hangs_up_whenever_it_is_read_costs_no_other(
    ready: Command, dovecot: DovecotServer, user: User
) -> None:
    deliver(dovecot, user.name, "INBOX", [plain_mail(1, body=octets(200_000).hex().encode()), plain_mail(2)])
    with cutting_proxy(dovecot.port, [100_000] * 20) as proxy:
        outcome = ready("backup", dovecot.url(user.name).replace(f":{dovecot.port}", f":{proxy.port}"))
        assert proxy.connections > 3
    assert (outcome.code, outcome.errors) == (1, []), outcome.err
    told = f"missing: {user.name}, INBOX, UID 1: the connection breaks whenever this message is read"
    assert [line for line in outcome.err.splitlines() if line.startswith("missing: ")] == [told]
    ready.well("check", "--read")
    (healed,) = ready.well("backup", dovecot.url(user.name), "--json").document["accounts"]
    assert (healed["status"], healed["new_messages"], healed["messages"]) == ("complete", 1, 2)


def test_an_untrusted_certificate_is_told(ready: Command, dovecot: DovecotServer, user: User) -> None:
    url = dovecot.imaps_url(user.name).partition("?")[0]
    assert_one_error(ready("backup", url), 3, "certificate")
    assert_one_error(ready("backup", f"{url}?fingerprint={'0' * 64}"), 3, "certificate")
    assert_one_error(ready("backup", f"{url}?ca=/nowhere.pem"), 3, "/nowhere.pem")


def test_plain_text_to_another_host_is_told_loudly(ready: Command, dovecot: DovecotServer, user: User) -> None:
    for line in (("backup",), ("restore", "--all", "--to")):
        if line[0] == "restore":
            ready.well("backup", dovecot.url(user.name))
        outcome = ready(*line, "imap://jane@plain.invalid?tls=off", RESTANTE_TARGET_PASSWORD=new_secret())
        assert_one_error(outcome, 3, "plain.invalid")
        assert outcome.err.startswith("warning: plain.invalid is spoken to in plain text")
    assert ready.well("backup", dovecot.url(user.name)).err == ""


def test_a_password_in_a_url_is_refused_and_not_repeated(ready: Command) -> None:
    assert_one_error(ready("backup", f"imaps://jane:{new_secret()}@mail.example.org"), 2, "password")
    assert_one_error(ready("restore", "jane", "--to", f"imaps://jane:{new_secret()}@mail.example.org"), 2, "password")


def test_a_wrong_password_of_the_target_is_told(
    ready: Command, dovecot: DovecotServer, second_dovecot: DovecotServer, user: User
) -> None:
    ready.well("backup", dovecot.url(user.name))
    target = second_dovecot.new_user()
    to = ("--to", second_dovecot.url(target.name))
    assert_one_error(ready("restore", user.name, *to, RESTANTE_TARGET_PASSWORD=new_secret()), 3)
    assert_one_error(ready("restore", user.name, *to), 2, "no password was given")


def test_a_place_without_a_vault_is_told(ready: Command, tmp_path: Path) -> None:
    assert_one_error(ready("snapshots", "--vault", f"file://{tmp_path}/nowhere"), 3, "no vault")
    assert_one_error(ready("snapshots", "--vault", "ftp://example.org"), 2, "ftp")
    without = Command(ready.cwd, {k: v for k, v in ready.env.items() if k != "RESTANTE_VAULT"})
    assert_one_error(without("snapshots"), 2, "no vault was named")


def test_a_vault_is_not_made_on_top_of_another(ready: Command) -> None:
    assert_one_error(ready("init"), 3, "not empty")


def test_a_missing_bucket_is_told(ready: Command, s3: RcloneS3) -> None:
    there = ready.with_(**s3.environment)
    url = f"s3://no-such-bucket/x?endpoint_url={s3.endpoint}&region=us-east-1"
    assert_one_error(there("init", "--vault", url), 3, "no-such-bucket")
    assert_one_error(there("snapshots", "--vault", url), 3)


def test_wrong_s3_keys_are_told(ready: Command, s3: RcloneS3) -> None:
    wrong = ready.with_(**{**s3.environment, "AWS_SECRET_ACCESS_KEY": new_secret()})
    assert_one_error(wrong("init", "--vault", s3.vault_url("some-bucket/x")), 3)


@pytest.mark.parametrize("status", [500, 503])
def test_an_s3_server_that_always_fails_is_given_up_in_a_bounded_time(ready: Command, status: int) -> None:
    with refusing_s3(status) as endpoint:
        there = ready.with_(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="y")
        url = f"s3://bucket/x?endpoint_url={endpoint}&region=us-east-1&patience=3"
        assert_one_error(there("init", "--vault", url, timeout=60), 3, "bucket")


def test_a_store_that_refuses_writing_is_told(ready: Command) -> None:
    with refusing_s3(403, code="AccessDenied") as endpoint:
        there = ready.with_(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="y")
        url = f"s3://bucket/x?endpoint_url={endpoint}&region=us-east-1"
        assert_one_error(there("init", "--vault", url), 3)


@pytest.mark.parametrize("puts", [0, 2, 4])
def test_an_s3_server_that_falls_ill_amid_a_backup_costs_that_run_and_nothing_else(
    ready: Command, dovecot: DovecotServer, user: User, s3: RcloneS3, puts: int
) -> None:
    deliver(dovecot, user.name, "INBOX", map(plain_mail, range(20)))
    bucket = f"ailing-{token_hex(4)}"
    with ailing(s3) as health:
        url = s3.vault_url(f"{bucket}/prod").replace(s3.endpoint, f"http://127.0.0.1:{health.port}")
        there = ready.with_(**s3.environment, RESTANTE_VAULT=f"{url}&patience=2")
        there.process("init").communicate()
        health.puts = puts
        assert_one_error(there("backup", dovecot.url(user.name)), 3, bucket)
        health.puts = math.inf
        there.well("check", "--read")
        (account,) = there.well("backup", dovecot.url(user.name), "--json").document["accounts"]
        assert (account["status"], account["messages"]) == ("complete", 20)


@contextmanager
def mounted(place: Path, options: str) -> Iterator[None]:
    """A small file system of its own, where this machine lets us mount one."""
    place.mkdir(exist_ok=True)
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, check=False
    )
    if mount.returncode != 0:
        pytest.skip("this machine lets us mount nothing")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_told_and_loses_nothing(
    ready: Command, dovecot: DovecotServer, user: User, tmp_path: Path
) -> None:
    put_noise(dovecot, user, 3 << 20)
    with mounted(tmp_path / "small", "size=1m"):
        small = ready.with_(RESTANTE_VAULT=f"file://{tmp_path}/small/vault")
        small.process("init").communicate()
        assert_one_error(small("backup", dovecot.url(user.name)), 3, "No space left")
        small.well("check")
        subprocess.run(["mount", "-o", "remount,size=64m", str(tmp_path / "small")], check=True)
        small.well("backup", dovecot.url(user.name))
        small.well("check", "--read")


def test_a_vault_that_may_not_grow_is_told(ready: Command, dovecot: DovecotServer, user: User) -> None:
    """The same without rights to mount anything: the system's bound on the size of files."""
    put_noise(dovecot, user, 3 << 20)
    done = subprocess.run(
        [sys.executable, "-m", "restante", "backup", dovecot.url(user.name)],
        cwd=ready.cwd,
        env=ready.env,
        capture_output=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    )
    assert_one_error(Outcome(done.returncode, done.stdout.decode(), done.stderr.decode()), 3, "File too large")
    ready.well("backup", dovecot.url(user.name))
    ready.well("check", "--read")


def test_a_read_only_directory_is_told(ready: Command, dovecot: DovecotServer, user: User, tmp_path: Path) -> None:
    put_noise(dovecot, user, 1000)
    with mounted(tmp_path / "disk", "size=8m"):
        disk = ready.with_(RESTANTE_VAULT=f"file://{tmp_path}/disk/vault")
        disk.process("init").communicate()
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path / "disk")], check=True)
        assert_one_error(disk("backup", dovecot.url(user.name)), 3, "Read-only")
        disk.well("snapshots")


def put_noise(dovecot: DovecotServer, user: User, size: int) -> None:
    """Put a message that can't be compressed into the user's INBOX, as a delivery agent does."""
    folder = dovecot.home(user.name) / "Maildir"
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    noise = os.urandom(size // 2).hex()
    lines = "\r\n".join(noise[start : start + 76] for start in range(0, len(noise), 76))
    (folder / "new" / f"1700000000.{token_hex(6)}.host").write_text(f"Subject: noise\r\n\r\n{lines}\r\n")
    dovecot.own(folder)


def test_a_snapshot_or_message_that_is_not_there_is_told(ready: Command, dovecot: DovecotServer, user: User) -> None:
    ready.well("backup", dovecot.url(user.name))
    assert_one_error(ready("ls", "nobody@example.test"), 3, "nobody@example.test")
    assert_one_error(ready("ls", f"{user.name}@1999-12-31"), 3, "1999-12-31")
    assert_one_error(ready("ls", user.name, "No such mailbox"), 2, "No such mailbox")
    assert_one_error(ready("cat", user.name, "0123abcd"), 2, "0123abcd")
    assert_one_error(ready("cat", user.name, "ab"), 2, "too short")
    assert_one_error(ready("restore", "nobody", "--to", "maildir:out"), 3, "nobody")


@pytest.mark.parametrize(
    "line, words",
    [
        ("frobnicate", "frobnicate"),
        ("backup --frobnicate", "--frobnicate"),
        ("ls", "ACCOUNT"),
        ("restore someone", "--to"),
        ("restore --to maildir:out", "account"),
        ("restore someone --all --to maildir:out", "--all"),
        ("restore someone --to floppy:a", "floppy"),
        ("restore someone --to maildir:out --since yesterday", "yesterday"),
        ("restore someone --to maildir:out --map nonsense", "nonsense"),
        ("check --sample 5%", "--read"),
        ("check --read --sample lots", "lots"),
        ("backup --job x --config none.yaml", "none.yaml"),
        ("backup x --job y", "--job"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_told(ready: Command, line: str, words: str) -> None:
    assert_one_error(ready(*line.split()), 2, words)


def test_a_reader_that_goes_away_is_no_trouble(ready: Command, dovecot: DovecotServer, user: User) -> None:
    ready.well("backup", dovecot.url(user.name))
    with ready.process("ls", user.name) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141


def test_output_to_a_full_disk_is_told(ready: Command) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "restante", "config", "example"],
            cwd=ready.cwd, env=ready.env, stdout=full, stderr=subprocess.PIPE, timeout=30, check=False,
        )  # fmt: skip
    assert_one_error(Outcome(done.returncode, "", done.stderr.decode()), 3, "No space left")


def test_debug_shows_the_traceback_and_nothing_else_does(ready: Command) -> None:
    process = ready.process("snapshots", "--vault", "ftp://example.org", "--debug")
    _, err = process.communicate()
    assert b"Traceback" in err
    assert b"error: " in err
    assert process.returncode == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_a_full_disk_under_the_cache_is_told_in_one_line(
    command: Command, dovecot: DovecotServer, tmp_path: Path
) -> None:
    user = dovecot.new_user()
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        ready = command.with_(
            RESTANTE_VAULT=f"file://{tmp_path}/vault",
            RESTANTE_PASSPHRASE=new_secret(),
            RESTANTE_SOURCE_PASSWORD=user.password,
            XDG_CACHE_HOME=str(small),
        )
        ready.process("init").communicate()
        assert_one_error(ready("backup", dovecot.url(user.name)), 3, "cache")
    finally:
        subprocess.run(["umount", str(small)], check=True)
