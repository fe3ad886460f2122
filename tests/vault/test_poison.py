"""Whoever breaks into the backup host can write packs and indexes: they can't stop older mail from being read."""

from __future__ import annotations

import pytest

from tests.corpus import base64_lines, mail_with, octets, plain_mail
from tests.faults import MemoryStore
from vault import recipe
from vault.clock import SystemClock
from vault.errors import Damage
from vault.ids import BlobId, ObjectName
from vault.index import seal_index
from vault.keyring import export_key
from vault.keys import KeyRing
from vault.pack import pack_entry, pack_of
from vault.packer import Packer, PackLimits
from vault.recipe import PLAIN, Stored, encode_recipe
from vault.slots import KeyFile, Passphrase
from vault.vault import open_vault
from vault.waiting import StoredBlob, Stretch
from vault.writer import VaultWriter

MAIL = mail_with(base64_lines(octets(3_000)))


def keep(store: MemoryStore, secret: Passphrase, mail: bytes) -> BlobId:
    writer = VaultWriter(open_vault(store, secret), store, clock=SystemClock())
    blob = writer.add_message(mail, Stretch()).blob
    writer.flush()
    writer.close()
    return blob


def intruder(store: MemoryStore, secret: Passphrase) -> KeyRing:
    """Return what lies on the backup host."""
    return open_vault(store, KeyFile(export_key(store, secret, backup_only=True))).ring


def forge(store: MemoryStore, ring: KeyRing, **forged: tuple[BlobId, bytes]) -> None:
    """Write blobs under ids that are not theirs, in a pack and an index that come before and after all others."""
    packer = Packer(store, ring, PackLimits())
    for blob, stored in forged.values():
        packer.add(StoredBlob(blob, stored, Stretch(), None))
    _, rest = packer.flush()
    packer.close()
    data, directory = pack_of(ring, rest)
    entry = pack_entry(data, directory)
    store.put(entry.name, data)
    for time in ("20000101T000000Z", "29991231T235959Z"):
        name = ObjectName(f"index/{time}-00000000")
        store.put(name, seal_index(ring, name, [entry]))


def made_of(blob: BlobId, *, times: int = 1) -> bytes:
    return encode_recipe([Stored(b"", blob, 0, b"")] * times)


def test_a_recipe_that_asks_for_itself_is_passed_over_for_the_true_mail(store: MemoryStore, secret: Passphrase) -> None:
    blob = keep(store, secret, MAIL)
    forge(store, intruder(store, secret), itself=(blob, made_of(blob)))
    assert open_vault(store, secret).read_message(blob) == MAIL


def test_recipes_that_ask_for_each_other_are_damage(store: MemoryStore, secret: Passphrase) -> None:
    one, other = BlobId(b"1" * 16), BlobId(b"2" * 16)
    forge(store, intruder(store, secret), one=(one, made_of(other)), other=(other, made_of(one)))
    with pytest.raises(Damage):
        open_vault(store, secret).read_message(one)


def test_a_recipe_that_would_fill_the_memory_is_damage(
    store: MemoryStore, secret: Passphrase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "MAX_CONTENT", 1 << 20)
    ring = intruder(store, secret)
    zeros = bytes(1 << 18)
    piece, bomb = ring.blob_id(b"piece", zeros), BlobId(b"3" * 16)
    forge(store, ring, piece=(piece, PLAIN + zeros), bomb=(bomb, made_of(piece, times=10_000_000 >> 8)))
    with pytest.raises(Damage, match="more than any message"):
        open_vault(store, secret).read_message(bomb)


def test_other_mail_under_an_id_is_passed_over_for_the_true_mail(store: MemoryStore, secret: Passphrase) -> None:
    blob = keep(store, secret, MAIL)
    ring = intruder(store, secret)
    forged = PLAIN + plain_mail(666)
    # The packer proves what it builds, and so would not forge: the proof is told what it wants to hear.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vault.packer._verify", lambda *_: None)
        forge(store, ring, wrong=(blob, forged))
    assert open_vault(store, secret).read_message(blob) == MAIL
