"""One message out of a vault on S3, with the real command: what goes over the line, and who is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from bench.delay import Line, longer_way
from tests.cli.command import Command, assert_one_error
from tests.secret import keep_secret, new_secret
from tests.servers import DovecotServer, RcloneS3
from tests.servers.maildir import deliver

MIB = 1 << 20


def text(number: int) -> bytes:
    return f"Subject: {number}\r\n\r\nNumber {number}\r\n".encode()


@pytest.fixture
def line(s3: RcloneS3) -> Iterator[Line]:
    with longer_way(int(s3.endpoint.rpartition(":")[2]), 0) as line:
        yield line


@pytest.fixture
def ready(command: Command, s3: RcloneS3, line: Line, tmp_path: Path) -> Command:
    near = s3.vault_url(f"far-{tmp_path.name.lower().replace('_', '-')}/prod")
    env = {"RESTANTE_VAULT": near.replace(s3.endpoint, f"http://127.0.0.1:{line.port}")}
    ready = command.with_(**s3.environment, **env, RESTANTE_PASSPHRASE=new_secret())
    keep_secret(json.loads(ready.process("init", "--json").communicate()[0])["recovery_key"])
    return ready


def filled(ready: Command, dovecot: DovecotServer, name: str, numbers: range) -> str:
    user = dovecot.new_user(f"{name}-{token_hex(4)}@example.test")
    deliver(dovecot, user.name, "INBOX", map(text, numbers))
    ready.well("backup", dovecot.url(user.name), RESTANTE_SOURCE_PASSWORD=user.password)
    return user.name


def test_one_message_costs_three_requests_with_a_warm_cache_and_few_without(
    ready: Command, dovecot: DovecotServer, line: Line, tmp_path: Path
) -> None:
    jane, joan = filled(ready, dovecot, "jane", range(1_500)), filled(ready, dovecot, "joan", range(1_500, 1_510))
    ids = [row["id"] for row in ready.well("ls", jane, "INBOX", "--json").document]
    (private, *_) = (row["id"] for row in ready.well("ls", joan, "INBOX", "--json").document)
    ready.well("key", "export", "key")
    scripted = ready.with_(RESTANTE_KEY_FILE=str(ready.cwd / "key"))
    del scripted.env["RESTANTE_PASSPHRASE"]

    before = line.traffic()
    assert scripted.raw("cat", jane, ids[750])[1] == text(750)
    warm = line.traffic() - before
    assert warm.requests <= 3
    assert warm.sent + warm.received <= 2 * MIB

    shutil.rmtree(tmp_path / "home" / ".cache")
    before = line.traffic()
    assert ready.raw("cat", jane, ids[1_499])[1] == text(1_499)
    cold = line.traffic() - before
    assert cold.requests <= 20
    assert cold.sent + cold.received <= 2 * MIB

    assert_one_error(scripted("cat", jane, private), 2, "no message")
    assert_one_error(scripted("cat", jane, "not hex"), 2, "no message")
    assert scripted.raw("cat", jane, ids[3][:13].upper())[1] == text(3)
    doubled = next(one[:4] for one in sorted(ids) if sum(other.startswith(one[:4]) for other in ids) > 1)
    assert_one_error(scripted("cat", jane, doubled), 2, "messages begin with")
