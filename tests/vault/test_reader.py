"""The second reader, written from the page alone, decodes what the product writes."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tests import reader
from tests.backup.site import Site, account, served
from tests.corpus import EMPTY, MAILBOX_NAMES, MESSAGES, TWINS, base64_lines, mail_with, octets, plain_mail
from tests.faults import flip
from tests.secret import new_secret
from tests.servers import DovecotServer
from tests.servers.maildir import Mail, deliver
from vault.clock import SystemClock
from vault.keyring import add_recovery, init_vault, rotate
from vault.model import Flags, Mailbox, MessageRow, Tree
from vault.packer import PackLimits
from vault.slots import Passphrase
from vault.stores.local import LocalStore
from vault.table import flag_table, message_table
from vault.vault import open_vault
from vault.waiting import Stretch
from vault.writer import SnapshotDraft, VaultWriter


@pytest.fixture
def filled(dovecot: DovecotServer, tmp_path: Path) -> tuple[Site, str]:
    """Return a vault with one account that holds every hard mail, in many small packs."""
    site, user = Site(tmp_path), dovecot.new_user().name
    object.__setattr__(site.options, "limits", PackLimits(pack=300_000, block=20_000, alone=8_000, message_alone=8_000))
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


def kept(store: LocalStore, passphrase: str, mails: Sequence[tuple[bytes, str, Flags]]) -> None:
    """Write one mailbox as no server may serve it: octets, INTERNALDATE and flags as given, in many small packs."""
    vault = open_vault(store, Passphrase(passphrase))
    writer = VaultWriter(
        vault, store, clock=SystemClock(), limits=PackLimits(pack=60_000, block=3_000, alone=2_000, message_alone=2_000)
    )
    rows, flags = message_table(writer.read_meta, None), flag_table(writer.read_meta, None)
    blobs = [writer.add_message(octets, Stretch()).blob for octets, _, _ in mails]
    rows.update(
        (MessageRow(n, blobs[n - 1], len(m), date) for n, (m, date, _) in enumerate(mails, 1)), (), writer.add_meta
    )
    flags.update(((n, names) for n, (_, _, names) in enumerate(mails, 1)), (), writer.add_meta)
    mailbox = Mailbox(
        name="INBOX", raw=b"INBOX", rows=rows.write_root(writer.add_meta), flags=flags.write_root(writer.add_meta)
    )
    tree = writer.add_meta(msgspec.json.encode(Tree((mailbox,))))
    writer.flush()
    writer.write_snapshot(SnapshotDraft("anna@example.test", "complete", tree, 1, len(mails), 0))
    writer.close()
    vault.close()


def opened(root: Path, passphrase: str) -> reader.Reader:
    second = reader.Reader(root, passphrase=passphrase)
    second.load_index()
    return second


def told(second: reader.Reader) -> list[tuple[bytes, str, Flags]]:
    (snapshot,) = second.snapshots()
    return [(m.octets, m.internaldate, tuple(m.flags)) for m in second.messages(snapshot)]


def test_the_second_reader_gives_back_mail_that_no_server_would_serve(tmp_path: Path) -> None:
    store, passphrase = LocalStore(tmp_path), new_secret()
    init_vault(store, passphrase)
    large = mail_with(base64_lines(octets(9_000_000)), number=1_000)
    mails = [*MESSAGES.values(), *TWINS, EMPTY, large]
    dates = [
        "17-Jul-1996 02:44:25 -0700",
        " 1-Jan-2040 00:00:00 +0530",
        "01-M\xe4r-1999 12:00:00 +0100",
        "",
        "01-Jan-0900 00:00:00 +0000",
    ]
    sets: list[Flags] = [(), ("$Junk", "\\Seen"), ("\xff",)]
    truth = [(mail, dates[n % len(dates)], sets[n % len(sets)]) for n, mail in enumerate(mails)]
    kept(store, passphrase, truth)
    assert told(opened(tmp_path, passphrase)) == truth


def test_the_second_reader_gives_out_nothing_that_was_altered(tmp_path: Path) -> None:
    store, passphrase = LocalStore(tmp_path), new_secret()
    init_vault(store, passphrase)
    truth = [(plain_mail(n), "17-Jul-1996 02:44:25 -0700", ("\\Seen",)) for n in range(5)]
    kept(store, passphrase, truth)
    objects = [
        path
        for kind in ("packs", "meta", "index", "snapshots")
        for path in (tmp_path / kind).rglob("*")
        if path.is_file()
    ]
    second, refused = opened(tmp_path, passphrase), 0
    for path in objects:
        sound = path.read_bytes()
        for at in range(0, len(sound), 1 + len(sound) // 40):
            path.write_bytes(flip(sound, at))
            second.places, second.blocks = {}, {}
            try:
                second.load_index()
                assert told(second) == truth
            except reader.Bad:
                refused += 1
        path.write_bytes(sound)
    assert refused > 20 * len(objects)


def test_the_second_reader_tells_altered_slots_and_vault_files(tmp_path: Path) -> None:
    store, passphrase = LocalStore(tmp_path), new_secret()
    init_vault(store, passphrase)
    rotate(store, Passphrase(passphrase), new_secret())
    assert reader.Reader(tmp_path, passphrase=passphrase).doubtful() == []
    for name in ("vault-2.json", "keys/recovery.json"):
        path = tmp_path / name
        path.write_bytes(
            path.read_bytes()
            .replace(b'"created": "2', b'"created": "3')
            .replace(b'"generation": 2', b'"generation": 3')
        )
    assert sorted(reader.Reader(tmp_path, passphrase=passphrase).doubtful()) == ["recovery.json", "vault-2.json"]


def test_the_second_reader_needs_no_vault_file(tmp_path: Path) -> None:
    store, passphrase = LocalStore(tmp_path), new_secret()
    init_vault(store, passphrase)
    truth = [(plain_mail(n), "17-Jul-1996 02:44:25 -0700", ()) for n in range(3)]
    kept(store, passphrase, truth)
    (tmp_path / "vault.json").unlink()
    assert told(opened(tmp_path, passphrase)) == truth


def test_the_second_reader_is_short_and_stands_alone() -> None:
    source = Path(reader.__file__).read_text()
    assert len(source.splitlines()) < 300
    imported = {
        (node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported - set(sys.stdlib_module_names) == {"blake3", "cryptography", "zstandard"}


def test_the_second_reader_runs_as_a_program(filled: tuple[Site, str], tmp_path: Path) -> None:
    site, user = filled
    command = [sys.executable, reader.__file__, str(site.directory / "vault"), str(tmp_path / "out")]
    environment = {"PATH": os.environ["PATH"], "RESTANTE_PASSPHRASE": site.passphrase}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert user in done.stdout
    assert len(list((tmp_path / "out").rglob("*.eml"))) == len(MESSAGES) + len(TWINS) + 700
