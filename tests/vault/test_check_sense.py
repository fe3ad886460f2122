"""`check` looks at what decrypts, too: a vault whose octets are whole can still say nonsense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import pytest

from tests.faults import Fault, FaultyStore, MemoryStore
from tests.secret import new_secret
from vault.check import Affected, CheckReport, check_vault
from vault.clock import SystemClock
from vault.columns import ColumnWriter
from vault.errors import Damage
from vault.ids import BlobId
from vault.keyring import init_vault
from vault.model import Mailbox, MessageRow, Tree
from vault.slots import Passphrase
from vault.table import flag_table, message_table
from vault.vault import Vault, open_vault
from vault.waiting import Stretch
from vault.writer import SnapshotDraft, VaultWriter

DATE = "21-Nov-1997 09:55:06 -0600"
WHOLE = Affected("anna", "INBOX", None)
Spoil = Callable[[VaultWriter, Mailbox], Mailbox]


class Odd:
    """A vault with one message, whose mailbox is then described wrongly."""

    def __init__(self) -> None:
        self.store, self.secret = MemoryStore(), Passphrase(new_secret())
        init_vault(self.store, self.secret.text)

    def open(self) -> Vault:
        return open_vault(self.store, self.secret)

    def write(self, spoil: Spoil, mail: bytes = b"Subject: x\r\n\r\n") -> None:
        writer = VaultWriter(self.open(), self.store, clock=SystemClock())
        blob = writer.add_message(mail, Stretch()).blob
        rows, flags = message_table(writer.read_meta, None), flag_table(writer.read_meta, None)
        rows.update([MessageRow(1, blob, 14, DATE)], [], writer.add_meta)
        flags.update([(1, ())], [], writer.add_meta)
        sound = Mailbox(
            name="INBOX", raw=b"INBOX", messages=1, rows=rows.write_root(writer.add_meta),
            flags=flags.write_root(writer.add_meta),
        )  # fmt: skip
        tree = writer.add_meta(msgspec.json.encode(Tree((spoil(writer, sound),))))
        writer.flush()
        snapshot = writer.write_snapshot(SnapshotDraft("anna", "complete", tree, 1, 1, 14))
        writer.write_run(SystemClock().now(), [("anna", snapshot.id, "complete")])
        writer.close()

    def check(self) -> CheckReport:
        return check_vault(self.open(), read=True)


def rows_and_flags_exchanged(_: VaultWriter, box: Mailbox) -> Mailbox:
    return msgspec.structs.replace(box, rows=box.flags, flags=box.rows)


def rows_that_are_no_page(writer: VaultWriter, box: Mailbox) -> Mailbox:
    return msgspec.structs.replace(box, rows=writer.add_meta(b"\1\0\0\0Nonsense"))


def a_node_without_bits(writer: VaultWriter, box: Mailbox) -> Mailbox:
    node = ColumnWriter().octets(b"N").numbers([]).numbers([]).numbers([]).octets(b"").done()
    return msgspec.structs.replace(box, rows=writer.add_meta(node))


def a_node_whose_columns_differ(writer: VaultWriter, box: Mailbox) -> Mailbox:
    node = ColumnWriter().octets(b"N").numbers([15]).numbers([1, 2]).numbers([1]).octets(bytes(16)).done()
    return msgspec.structs.replace(box, rows=writer.add_meta(node))


def a_message_too_many(_: VaultWriter, box: Mailbox) -> Mailbox:
    return msgspec.structs.replace(box, messages=2)


def no_rows(_: VaultWriter, box: Mailbox) -> Mailbox:
    return msgspec.structs.replace(box, rows=None)


NONSENSE = [rows_and_flags_exchanged, rows_that_are_no_page, a_node_without_bits, a_node_whose_columns_differ]


@pytest.mark.parametrize("spoil", [*NONSENSE, a_message_too_many, no_rows])
def test_a_mailbox_that_is_described_wrongly_is_named(spoil: Spoil) -> None:
    vault = Odd()
    vault.write(spoil)
    (found,) = vault.check().damage
    assert found.object.startswith("meta/")
    assert found.affects == (WHOLE,)


@pytest.mark.parametrize("spoil", NONSENSE)
def test_a_mailbox_that_is_described_wrongly_is_damage_to_its_reader(spoil: Spoil) -> None:
    vault = Odd()
    vault.write(spoil)
    opened = vault.open()
    (mailbox,) = opened.tree(opened.find("anna")).mailboxes
    with pytest.raises(Damage):
        list(opened.rows(mailbox))


def test_pages_that_no_index_names_are_told_with_the_remedy() -> None:
    vault = Odd()
    vault.write(lambda _, box: msgspec.structs.replace(box, rows=BlobId(bytes(16))))
    (found,) = vault.check().damage
    assert found.object == "index/"
    assert "index rebuild" in found.reason
    assert found.affects == (WHOLE,)


def test_a_sound_mailbox_is_not_named() -> None:
    vault = Odd()
    vault.write(lambda _, box: box)
    assert vault.check().damage == ()


@dataclass
class BackupBetween(Fault):
    """A backup of one more message runs from end to end just before the n-th listing."""

    vault: Odd
    n: int

    def before(self, call: str, name: str) -> None:
        if call == "list":
            self.n -= 1
            if self.n == 0:
                self.vault.write(lambda _, box: box, b"Subject: meanwhile\r\n\r\n")


@pytest.mark.parametrize("n", range(1, 9))
def test_a_backup_beside_the_check_looks_like_no_damage(n: int) -> None:
    vault = Odd()
    vault.write(lambda _, box: box)
    beside = open_vault(FaultyStore(vault.store, BackupBetween(vault, n)), vault.secret)
    assert check_vault(beside, read=True).damage == ()
