"""The second reader, written from the page alone, decodes what the product writes."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import reader
from tests.backup.site import Site, account, served
from tests.corpus import MAILBOX_NAMES, MESSAGES, TWINS, plain_mail
from tests.servers import DovecotServer
from tests.servers.maildir import Mail, deliver
from vault.keyring import add_recovery, rotate
from vault.packer import PackLimits
from vault.slots import Passphrase


@pytest.fixture
def filled(dovecot: DovecotServer, tmp_path: Path) -> tuple[Site, str]:
    """Return a vault with one account that holds every hard mail, in many small packs."""
    site, user = Site(tmp_path), dovecot.new_user().name
    object.__setattr__(site.options, "limits", PackLimits(pack=300_000, block=20_000, alone=8_000))
    deliver(dovecot, user, "INBOX", [*MESSAGES.values(), *TWINS])
    deliver(dovecot, user, "Sent", [Mail(plain_mail(n), ("\\Seen", "Urgent")[: n % 3]) for n in range(700)])
    with dovecot.open(user) as imap:
        for name in MAILBOX_NAMES:
            imap.create(name)
    assert site.backup(account(dovecot, user)).status == "complete"
    return site, user


def test_the_second_reader_decodes_every_message(dovecot: DovecotServer, filled: tuple[Site, str]) -> None:
    site, user = filled
    second = reader.Reader(site.directory / "vault", passphrase=site.passphrase)
    second.load_index()
    (snapshot,) = second.snapshots()
    found = sorted((m.mailbox, m.uid, tuple(m.flags), m.internaldate, m.octets) for m in second.messages(snapshot))
    truth = [
        (name, s.uid, s.flags, s.internaldate, s.octets) for name, mails in served(dovecot, user).items() for s in mails
    ]
    assert found == sorted(truth)


def test_the_second_reader_needs_no_index_and_takes_a_recovery_key(filled: tuple[Site, str]) -> None:
    site, _ = filled
    key = add_recovery(site.store, Passphrase(site.passphrase), "paper")
    with_index = reader.Reader(site.directory / "vault", passphrase=site.passphrase)
    with_index.load_index()
    without = reader.Reader(site.directory / "vault", recovery_key=key.lower().replace("-", " "))
    without.load_directories()
    (snapshot,) = without.snapshots()
    assert list(without.messages(snapshot)) == list(with_index.messages(snapshot))


def test_the_second_reader_reads_on_after_a_rotation(dovecot: DovecotServer, filled: tuple[Site, str]) -> None:
    site, user = filled
    rotate(site.store, Passphrase(site.passphrase), site.passphrase + " anew")
    site.passphrase += " anew"
    deliver(dovecot, user, "INBOX", [plain_mail(9_999)])
    site.backup(account(dovecot, user))
    second = reader.Reader(site.directory / "vault", passphrase=site.passphrase)
    second.load_index()
    assert len(list(second.messages(second.snapshots()[-1]))) == len(MESSAGES) + len(TWINS) + 700 + 1


def test_the_second_reader_is_short_and_stands_alone() -> None:
    source = Path(reader.__file__).read_text()
    assert len(source.splitlines()) < 300
    imported = {
        (node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported - set(sys.stdlib_module_names) == {"cryptography", "zstandard"}


def test_the_second_reader_runs_as_a_program(filled: tuple[Site, str], tmp_path: Path) -> None:
    site, user = filled
    command = [sys.executable, reader.__file__, str(site.directory / "vault"), str(tmp_path / "out")]
    environment = {"PATH": os.environ["PATH"], "RESTANTE_PASSPHRASE": site.passphrase}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert user in done.stdout
    assert len(list((tmp_path / "out").rglob("*.eml"))) == len(MESSAGES) + len(TWINS) + 700
