"""A blob that lies in several objects is lost only with the last of them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from tests.corpus import plain_mail
from tests.faults import Fault, FaultyStore, MemoryStore, flip
from tests.secret import new_secret
from vault.check import Affected, check_vault
from vault.clock import SystemClock
from vault.errors import Damage
from vault.ids import BlobId, ObjectName
from vault.keyring import init_vault, rotate
from vault.model import Mailbox, MessageRow, Tree
from vault.slots import Passphrase
from vault.stores.local import LocalStore
from vault.table import flag_table, message_table
from vault.vault import Vault, open_vault
from vault.waiting import Stretch
from vault.writer import SnapshotDraft, VaultWriter

MAIL = b"Message-ID: <1@example.test>\r\n\r\nTwice.\r\n"


class Racing:
    """A vault into which two writers, neither of which knows of the other, bring the same mail."""

    def __init__(self, directory: Path) -> None:
        self.store = LocalStore(directory / "vault")
        self.passphrase = new_secret()
        init_vault(self.store, self.passphrase)
        writers = [VaultWriter(self.open(), self.store, clock=SystemClock()) for _ in range(2)]
        for writer in writers:
            self.blob = fill(writer)
            writer.close()

    def open(self) -> Vault:
        return open_vault(self.store, Passphrase(self.passphrase))

    def objects(self, prefix: str) -> list[ObjectName]:
        return [info.name for info in self.store.list(prefix)]

    def damage(self, name: ObjectName) -> None:
        data = self.store.get(name)
        self.store.delete(name)
        self.store.put(name, flip(data, 40))


def fill(writer: VaultWriter) -> BlobId:
    blob = writer.add_message(MAIL, Stretch()).blob
    rows, flags = message_table(writer.read_meta, None), flag_table(writer.read_meta, None)
    rows.update([MessageRow(7, blob, len(MAIL), "21-Nov-1997 09:55:06 -0600")], [], writer.add_meta)
    flags.update([(7, ("\\Seen",))], [], writer.add_meta)
    inbox = Mailbox(
        name="INBOX", raw=b"INBOX", messages=1, rows=rows.write_root(writer.add_meta),
        flags=flags.write_root(writer.add_meta),
    )  # fmt: skip
    tree = writer.add_meta(msgspec.json.encode(Tree((inbox,))))
    writer.flush()
    writer.write_snapshot(SnapshotDraft("anna", "complete", tree, 1, 1, len(MAIL)))
    return blob


@pytest.mark.parametrize("prefix", ["packs/", "meta/"])
@pytest.mark.parametrize("which", [0, 1])
def test_mail_is_read_from_the_copy_that_is_left(tmp_path: Path, prefix: str, which: int) -> None:
    site = Racing(tmp_path)
    name = site.objects(prefix)[which]
    site.damage(name)
    vault = site.open()
    (row,) = vault.rows(vault.tree(vault.find("anna")).mailboxes[0])
    assert vault.read_message(row.blob) == MAIL
    (found,) = check_vault(site.open(), read=True).damage
    assert (found.object, found.affects) == (name, ())


def test_mail_is_lost_with_its_last_copy(tmp_path: Path) -> None:
    site = Racing(tmp_path)
    names = site.objects("packs/")
    for name in names:
        site.damage(name)
    with pytest.raises(Damage):
        site.open().read_message(site.blob)
    damage = check_vault(site.open(), read=True).damage
    assert {found.object for found in damage} == set(names)
    assert {a for found in damage for a in found.affects} == {Affected("anna", "INBOX", 7)}


def test_a_key_older_than_the_mail_finds_no_damage_where_there_is_none(tmp_path: Path) -> None:
    site = Racing(tmp_path)
    rotate(site.store, Passphrase(site.passphrase), new_secret())
    writer = VaultWriter(site.open(), site.store, clock=SystemClock())
    writer.add_message(MAIL + b"Thrice.\r\n", Stretch())
    writer.flush()
    writer.close()
    report = check_vault(site.open(), read=True)
    assert report.damage == ()
    assert any("older" in note for note in report.notes)


def test_many_threads_that_open_a_vault_together_all_wait_for_its_index() -> None:
    """One that comes while another loads the index must not take it for empty."""
    store, secret = MemoryStore(), Passphrase(new_secret())
    init_vault(store, secret.text)
    writer = VaultWriter(open_vault(store, secret), store, clock=SystemClock())
    blobs = [writer.add_message(plain_mail(n), Stretch()).blob for n in range(8)]
    writer.flush()
    writer.close()
    for _ in range(5):
        vault = open_vault(FaultyStore(store, _Slow()), secret)
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(vault.read_message, blobs)) == [plain_mail(n) for n in range(8)]


class _Slow(Fault):
    """Listings take a moment."""

    def before(self, call: str, name: str) -> None:
        if call == "list" and name == "index/":
            time.sleep(0.05)
