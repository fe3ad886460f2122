"""Who can open a vault, and what each key opens."""

from __future__ import annotations

import base64

import msgspec
import pytest

from tests.faults import MemoryStore
from tests.secret import new_secret
from vault.clock import SystemClock
from vault.errors import ContentKeyMissing, VaultError, WrongSecret
from vault.ids import BlobId, ObjectName
from vault.keyring import (
    VaultFile,
    add_passphrase,
    add_recovery,
    export_key,
    init_vault,
    list_slots,
    remove_slot,
    rotate,
    unlock,
)
from vault.slots import KeyFile, Passphrase, RecoveryKey, Secret
from vault.vault import open_vault
from vault.waiting import Stretch
from vault.writer import VaultWriter

MAIL = b"From: a@b.invalid\r\n\r\nkept\r\n"


def keep(store: MemoryStore, secret: Secret, mail: bytes = MAIL) -> BlobId:
    """Write one message with whatever key is at hand."""
    writer = VaultWriter(open_vault(store, secret), store, clock=SystemClock())
    blob = writer.add_message(mail, Stretch()).blob
    writer.flush()
    writer.close()
    return blob


def test_passphrase_and_recovery_key_both_open_a_vault(secret: Passphrase) -> None:
    store = MemoryStore()
    recovery = init_vault(store, secret.text)
    blob = keep(store, secret)
    for opener in (secret, RecoveryKey(recovery), RecoveryKey(recovery.lower().replace("-", " "))):
        assert open_vault(store, opener).read_message(blob) == MAIL


def test_a_wrong_passphrase_is_told_with_the_slots_there_are_and_without_itself(store: MemoryStore) -> None:
    wrong = new_secret()
    with pytest.raises(WrongSecret) as told:
        unlock(store, Passphrase(wrong))
    assert '"passphrase", "recovery"' in told.value.message
    assert wrong not in str(told.value) + told.value.hint


def test_a_slip_in_a_recovery_key_is_told_as_such(secret: Passphrase) -> None:
    store = MemoryStore()
    recovery = init_vault(store, secret.text)
    slip = ("A" if recovery[3] != "A" else "B").join((recovery[:3], recovery[4:]))
    with pytest.raises(WrongSecret, match="typing error"):
        unlock(store, RecoveryKey(slip))


def test_a_vault_is_not_made_twice_nor_among_other_things(store: MemoryStore, secret: Passphrase) -> None:
    with pytest.raises(VaultError, match="not empty"):
        init_vault(store, secret.text)


def test_the_backup_only_key_writes_mail_that_it_cannot_read(store: MemoryStore, secret: Passphrase) -> None:
    key = KeyFile(export_key(store, secret, backup_only=True))
    blob = keep(store, key)
    vault = open_vault(store, key)
    assert not vault.can_read_mail
    with pytest.raises(ContentKeyMissing) as told:
        vault.read_message(blob)
    assert "backup-only" in told.value.hint
    assert open_vault(store, secret).read_message(blob) == MAIL
    with pytest.raises(WrongSecret):
        export_key(store, key, backup_only=False)
    with pytest.raises(WrongSecret):
        add_recovery(store, key, "more")


def test_a_full_key_file_reads_mail(store: MemoryStore, secret: Passphrase) -> None:
    blob = keep(store, secret)
    key = KeyFile(export_key(store, secret, backup_only=False))
    assert open_vault(store, key).read_message(blob) == MAIL


def test_a_key_file_of_another_vault_or_of_nonsense_is_refused(store: MemoryStore, secret: Passphrase) -> None:
    other = MemoryStore()
    init_vault(other, secret.text)
    for data in (export_key(other, secret, backup_only=True), b"{}", b"\xff", b""):
        with pytest.raises(WrongSecret):
            unlock(store, KeyFile(data))


def test_slots_come_and_go_but_never_the_last(store: MemoryStore, secret: Passphrase) -> None:
    another = Passphrase(new_secret())
    add_passphrase(store, secret, another.text, "office")
    assert {slot.name for slot in list_slots(store)} == {"office", "passphrase", "recovery"}
    with pytest.raises(VaultError, match="already"):
        add_passphrase(store, secret, another.text, "office")
    with pytest.raises(VaultError, match="no name"):
        add_passphrase(store, secret, another.text, "../office")
    for name in ("passphrase", "recovery"):
        remove_slot(store, another, name)
    with pytest.raises(VaultError, match="last"):
        remove_slot(store, another, "office")
    with pytest.raises(WrongSecret):
        unlock(store, secret)


def test_after_a_rotation_old_secrets_read_old_mail_and_new_ones_all(store: MemoryStore, secret: Passphrase) -> None:
    old = keep(store, secret)
    anew = Passphrase(new_secret())
    recovery = RecoveryKey(rotate(store, secret, anew.text))
    backup_only = KeyFile(export_key(store, anew, backup_only=True))
    new = keep(store, backup_only, MAIL + b"later\r\n")
    for opener in (anew, recovery):
        vault = open_vault(store, opener)
        assert (vault.read_message(old), vault.read_message(new)) == (MAIL, MAIL + b"later\r\n")
    before = open_vault(store, secret)
    assert before.read_message(old) == MAIL
    with pytest.raises(ContentKeyMissing):
        before.read_message(new)


def test_a_public_key_slipped_in_by_the_store_is_not_believed(store: MemoryStore, secret: Passphrase) -> None:
    strange = MemoryStore()
    init_vault(strange, secret.text)
    ours = msgspec.json.decode(store.objects[ObjectName("vault.json")])
    theirs = msgspec.json.decode(strange.objects[ObjectName("vault.json")])
    store.objects[ObjectName("vault.json")] = msgspec.json.encode(ours | {"content_key": theirs["content_key"]})
    assert unlock(store, secret).public.octets != base64.b64decode(theirs["content_key"])
    with pytest.raises(VaultError, match="altered"):
        keep(store, secret)


@pytest.mark.parametrize("left", [b"{", b"\xff", b"", None])
def test_mail_is_read_though_the_vault_file_is_damaged_or_gone(
    store: MemoryStore, secret: Passphrase, left: bytes | None
) -> None:
    blob = keep(store, secret)
    key = KeyFile(export_key(store, secret, backup_only=False))
    del store.objects[ObjectName("vault.json")]
    if left is not None:
        store.objects[ObjectName("vault.json")] = left
    for opener in (secret, key):
        assert open_vault(store, opener).read_message(blob) == MAIL
        with pytest.raises(VaultError, match=r"vault\.json"):
            keep(store, opener)


def test_a_slot_that_asks_for_absurd_work_is_refused(store: MemoryStore, secret: Passphrase) -> None:
    name = ObjectName("keys/passphrase.json")
    for field, value in (("memory_kib", 1 << 40), ("iterations", 1 << 30), ("lanes", 0), ("memory_kib", -1)):
        slot = msgspec.json.decode(store.objects[name])
        with pytest.raises(VaultError, match="absurd"):
            unlock(MemoryStore(store.objects | {name: msgspec.json.encode(slot | {field: value})}), secret)


def test_a_damaged_slot_does_not_keep_the_others_from_opening(store: MemoryStore, secret: Passphrase) -> None:
    store.objects[ObjectName("keys/aaa.json")] = b"\xff\xfe"
    store.objects[ObjectName("keys/recovery.json")] = b"{"
    assert unlock(store, secret).private


def test_a_vault_of_a_later_format_is_refused_before_anything_is_read(store: MemoryStore, secret: Passphrase) -> None:
    words = msgspec.json.decode(store.objects[ObjectName("vault.json")], type=VaultFile)
    words = msgspec.structs.replace(words, format=2)
    words = msgspec.structs.replace(words, mac=unlock(store, secret).authenticate(words.text()))
    store.objects[ObjectName("vault.json")] = msgspec.json.encode(words)
    with pytest.raises(VaultError, match="format 2"):
        unlock(store, secret)


def test_names_and_ids_tell_a_stranger_nothing(secret: Passphrase) -> None:
    stores = [MemoryStore(), MemoryStore()]
    blobs = []
    for store in stores:
        init_vault(store, secret.text)
        blobs.append(keep(store, secret))
    assert blobs[0] != blobs[1]
    accounts = [unlock(store, secret).account_id("anna@b.invalid") for store in stores]
    assert accounts[0] != accounts[1]
    assert not any(b"kept" in data or b"b.invalid" in data for store in stores for data in store.objects.values())
