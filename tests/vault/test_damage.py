"""Every kind of damage to every kind of object: `check` names it and the mail it costs, and nothing wrong is read."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.backup.site import Site, account
from tests.corpus import base64_lines, mail_with, octets, plain_mail
from tests.servers import DovecotServer
from tests.servers.maildir import deliver
from vault.check import CheckReport, check_vault
from vault.clock import SystemClock
from vault.errors import Damage, Trouble
from vault.ids import BlobId
from vault.keyring import export_key, list_slots, remove_slot
from vault.model import MessageRow
from vault.packer import PackLimits
from vault.rebuild import rebuild_index
from vault.slots import KeyFile, Passphrase
from vault.stores.local import LocalStore
from vault.vault import Vault, open_vault

KINDS = ("packs", "meta", "index", "snapshots", "runs", "keys", "vault.json")


@dataclass
class Filled:
    """A sound vault, what it holds, and a copy to be damaged."""

    sound: Path
    passphrase: str
    truth: dict[BlobId, bytes]
    copy: Path

    def open(self, *, secret: Passphrase | KeyFile | None = None) -> Vault:
        return open_vault(LocalStore(self.copy), secret or Passphrase(self.passphrase))

    def objects(self, kind: str) -> list[Path]:
        found = self.copy / kind
        return [found] if found.is_file() else sorted(p for p in found.rglob("*") if p.is_file())

    def name(self, path: Path) -> str:
        return str(path.relative_to(self.copy))

    def renew(self) -> None:
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.sound, self.copy)


@pytest.fixture(scope="module")
def original(dovecot: DovecotServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, dict[BlobId, bytes]]:
    site = Site(tmp_path_factory.mktemp("damage"))
    object.__setattr__(site.options, "limits", PackLimits(pack=60_000, block=4_000, alone=4_000, message_alone=4_000))
    users = [dovecot.new_user().name for _ in range(2)]
    shared = base64_lines(octets(20_000))
    for n, user in enumerate(users):
        deliver(dovecot, user, "INBOX", [mail_with(shared, number=n), *(plain_mail(100 * n + i) for i in range(15))])
        deliver(dovecot, user, "Work", [mail_with(base64_lines(octets(30_000, 50 + n)), number=20 + n)])
        site.backup(account(dovecot, user))
        deliver(dovecot, user, "Work", [plain_mail(100 * n + 50)])
        site.backup(account(dovecot, user))
    vault = site.open()
    return site, {row.blob: vault.read_message(row.blob) for _, _, row in rows_of(vault)}


@pytest.fixture
def filled(original: tuple[Site, dict[BlobId, bytes]], tmp_path: Path) -> Filled:
    site, truth = original
    made = Filled(site.directory / "vault", site.passphrase, truth, tmp_path / "copy")
    made.renew()
    return made


def rows_of(vault: Vault) -> Iterator[tuple[str, str, MessageRow]]:
    newest = {snapshot.account: snapshot for snapshot in vault.snapshots()}
    for name, snapshot in newest.items():
        for mailbox in vault.tree(snapshot).mailboxes:
            yield from ((name, mailbox.name, row) for row in vault.rows(mailbox))


def checked(vault: Vault, *, read: bool = True) -> CheckReport:
    return check_vault(vault, read=read)


def nothing_wrong_is_read(filled: Filled, report: CheckReport) -> None:
    """Read every message by its id: it is right, or its damage is told and named as affected."""
    affected = {(a.mailbox, a.uid) for found in report.damage for a in found.affects}
    vault = filled.open()
    for _, mailbox, row in rows_of(filled_sound(filled)):
        try:
            assert vault.read_message(row.blob) == filled.truth[row.blob]
        except Damage:
            assert affected & {(mailbox, row.uid), (mailbox, None), ("", None)} or "index/" in str(report.damage)


def filled_sound(filled: Filled) -> Vault:
    return open_vault(LocalStore(filled.sound), Passphrase(filled.passphrase))


def test_a_sound_vault_has_no_damage(filled: Filled) -> None:
    for report in (checked(filled.open(), read=False), checked(filled.open())):
        assert report.damage == ()
        assert report.notes == ()
    assert report.octets_read == sum(p.stat().st_size for kind in ("packs", "meta") for p in filled.objects(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_octet_anywhere_is_named(filled: Filled, kind: str) -> None:
    vault = filled.open()
    for path in filled.objects(kind)[:4]:
        data = path.read_bytes()
        for at in {0, 4, 5, 10, 21, 22, 40, len(data) // 2, len(data) - 30, len(data) - 5, len(data) - 2}:
            path.write_bytes(data[:at] + bytes((data[at] ^ 0xFF,)) + data[at + 1 :])
            report = checked(vault)
            assert filled.name(path) in {found.object for found in report.damage}, f"octet {at} of {len(data)}"
        path.write_bytes(data)


@pytest.mark.parametrize("kind", ["packs", "meta", "index", "snapshots"])
def test_damaged_mail_is_never_read_wrong_and_all_other_mail_is_read(filled: Filled, kind: str) -> None:
    for path in filled.objects(kind)[:4]:
        data = path.read_bytes()
        for at in (30, len(data) // 2, len(data) - 40):
            path.write_bytes(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :])
            nothing_wrong_is_read(filled, checked(filled.open()))
        path.write_bytes(data)


def cut_by_one(data: bytes) -> bytes:
    return data[:-1]


def halved(data: bytes) -> bytes:
    return data[: len(data) // 2]


def emptied(_: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("cut", [cut_by_one, halved, emptied])
@pytest.mark.parametrize("kind", KINDS)
def test_an_object_cut_short_is_named_even_without_reading_all(
    filled: Filled, kind: str, cut: Callable[[bytes], bytes]
) -> None:
    vault = filled.open()
    for path in filled.objects(kind)[:3]:
        data = path.read_bytes()
        path.write_bytes(cut(data))
        for read in (False, True):
            assert filled.name(path) in {found.object for found in checked(vault, read=read).damage}
        path.write_bytes(data)


@pytest.mark.parametrize("kind", ["packs", "meta", "index", "snapshots", "runs", "keys"])
def test_two_objects_swapped_are_both_named(filled: Filled, kind: str) -> None:
    vault = filled.open()
    first, second, *_ = filled.objects(kind)
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    assert {filled.name(first), filled.name(second)} <= {found.object for found in checked(vault).damage}


@pytest.mark.parametrize("kind", ["packs", "meta", "snapshots"])
def test_a_missing_object_is_named_with_the_mail_it_costs(filled: Filled, kind: str) -> None:
    for path in filled.objects(kind):
        data = path.read_bytes()
        path.unlink()
        report = checked(filled.open())
        named = {found.object for found in report.damage}
        assert filled.name(path) in named or str(Path(filled.name(path)).parent) + "/" in named
        nothing_wrong_is_read(filled, report)
        path.write_bytes(data)


def test_a_missing_pack_names_exactly_the_mail_that_cannot_be_read(filled: Filled) -> None:
    for path in filled.objects("packs"):
        data = path.read_bytes()
        path.unlink()
        vault = filled.open()
        lost = set()
        for name, mailbox, row in rows_of(vault):
            try:
                vault.read_message(row.blob)
            except Trouble:
                lost.add((name, mailbox, row.uid))
        affected = {tuple(a) for found in checked(vault).damage for a in found.affects}
        assert affected == lost
        path.write_bytes(data)


def test_a_lost_index_is_told_and_rebuilt_from_the_packs(filled: Filled) -> None:
    shutil.rmtree(filled.copy / "index")
    report = checked(filled.open(), read=False)
    assert "index/" in {found.object for found in report.damage}
    assert rebuild_index(LocalStore(filled.copy), Passphrase(filled.passphrase), SystemClock()) > 2
    assert checked(filled.open()).damage == ()
    vault = filled.open()
    assert {row.blob: vault.read_message(row.blob) for _, _, row in rows_of(vault)} == filled.truth


def lost(vault: Vault, rows: Iterable[tuple[str, str, MessageRow]]) -> set[tuple[str, str, int]]:
    """Return those of the messages that a damaged vault can't read."""
    rows = list(rows)
    found = vault.read_messages((row.blob, row.size) for _, _, row in rows)
    return {
        (user, mailbox, row.uid)
        for (user, mailbox, row), (_, octets) in zip(rows, found, strict=True)
        if isinstance(octets, Damage)
    }


def test_one_lost_index_object_is_told_with_the_mail_that_no_other_names_and_rebuilt(filled: Filled) -> None:
    """Its own name nobody can tell: nothing says which index objects there should be."""
    store, rows = LocalStore(filled.copy), list(rows_of(filled.open()))
    key = KeyFile(export_key(store, Passphrase(filled.passphrase), backup_only=False))
    names = [filled.name(path) for path in filled.objects("index")]
    assert len(names) > 3
    for name in names:
        (filled.copy / name).unlink()
        vault = filled.open(secret=key)
        (at_a_glance,), (found,) = checked(vault, read=False).damage, checked(vault).damage
        assert (at_a_glance.object, found.object) == ("index/", "index/")
        assert "index rebuild" in at_a_glance.reason
        unread, told = lost(vault, rows), {tuple(affected) for affected in found.affects}
        assert unread
        assert {one for one in told if one[2] is not None} <= unread
        assert all(told & {(user, box, uid), (user, box, None), (user, "", None)} for user, box, uid in unread)
        assert rebuild_index(store, key, SystemClock()) > 0
        vault = filled.open(secret=key)
        assert (checked(vault).damage, lost(vault, rows)) == ((), set())
        filled.renew()


def test_a_slot_that_was_removed_is_no_damage_as_long_as_one_is_left(filled: Filled) -> None:
    """One that the store lost looks the same: nothing says which slots there should be."""
    store = LocalStore(filled.copy)
    key = KeyFile(export_key(store, Passphrase(filled.passphrase), backup_only=True))
    first, last = (slot.name for slot in list_slots(store))
    remove_slot(store, key, first)
    assert checked(filled.open(secret=key), read=False).damage == ()
    (filled.copy / "keys" / f"{last}.json").unlink()
    (found,) = checked(filled.open(secret=key), read=False).damage
    assert (found.object, found.affects) == ("keys/", ())
    assert "no sound key slot is left" in found.reason


def test_a_lost_snapshot_is_told_by_the_next_one_though_all_run_records_are_lost_too(filled: Filled) -> None:
    """Of the records themselves nothing says that they were there; nor of a newest snapshot that goes with them."""
    for path in filled.objects("runs"):
        path.unlink()
    vault = filled.open()
    for user in vault.accounts():
        first, newest = vault.snapshots(user)
        path = filled.copy / "snapshots" / first.account_id / first.id
        data = path.read_bytes()
        path.unlink()
        (found,) = checked(vault, read=False).damage
        assert found.object == f"snapshots/{first.account_id}/"
        assert newest.id in found.reason
        path.write_bytes(data)


def test_a_rebuild_of_a_whole_index_writes_nothing(filled: Filled) -> None:
    assert rebuild_index(LocalStore(filled.copy), Passphrase(filled.passphrase), SystemClock()) == 0


def test_the_backup_only_key_checks_without_reading_mail(filled: Filled) -> None:
    key = KeyFile(export_key(LocalStore(filled.copy), Passphrase(filled.passphrase), backup_only=True))
    report = checked(filled.open(secret=key))
    assert report.damage == ()
    assert any("can't read mail" in note for note in report.notes)
    path = filled.objects("packs")[0]
    data = path.read_bytes()
    path.write_bytes(data[:50] + b"\0\0" + data[52:])
    assert filled.name(path) in {found.object for found in checked(filled.open(secret=key)).damage}
    path.unlink()
    shutil.rmtree(filled.copy / "index")
    assert rebuild_index(LocalStore(filled.copy), key, SystemClock()) > 2


def test_a_sample_reads_a_part(filled: Filled) -> None:
    vault = filled.open()
    assert 0 < check_vault(vault, read=True, sample=0.3).octets_read < check_vault(vault, read=True).octets_read
