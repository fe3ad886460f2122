"""What a store, or whoever holds a key for less, can try with `vault.json` and `keys/`."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults import Dying, FaultyStore, Killed, MemoryStore, flip
from tests.secret import keep_secret, new_secret
from vault import slots
from vault.errors import VaultError, WrongSecret
from vault.ids import ObjectName
from vault.keyring import (
    add_passphrase,
    add_recovery,
    export_key,
    init_vault,
    list_slots,
    refuse_doubtful,
    rotate,
    unlock,
)
from vault.slots import KeyFile, Passphrase, RecoveryKey

VAULT, SECOND = ObjectName("vault.json"), ObjectName("vault-2.json")
SLOT = ObjectName("keys/passphrase.json")


@pytest.fixture(autouse=True)
def _light_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let slots be made with little memory: what is tested here does not depend on how much."""
    monkeypatch.setattr(slots, "MEMORY_KIB", 64)


@dataclass
class Made:
    """A vault in memory, and what opens it."""

    store: MemoryStore
    passphrase: Passphrase
    recovery: RecoveryKey

    def __post_init__(self) -> None:
        self.ring = unlock(self.store, self.passphrase)

    def changed(self, name: ObjectName, **fields: Any) -> MemoryStore:
        """Return the same store, with other fields in one of its JSON objects."""
        words = json.loads(self.store.objects[name]) | fields
        return MemoryStore(self.store.objects | {name: json.dumps(words).encode()})


def make() -> Made:
    store, passphrase = MemoryStore(), new_secret()
    return Made(store, Passphrase(passphrase), RecoveryKey(keep_secret(init_vault(store, passphrase))))


@pytest.fixture
def made() -> Made:
    return make()


def rotated(made: Made) -> Passphrase:
    anew = new_secret()
    keep_secret(rotate(made.store, made.passphrase, anew))
    return Passphrase(anew)


def test_a_store_that_hides_the_newest_public_key_revives_no_older_one(made: Made) -> None:
    anew = rotated(made)
    newest = unlock(made.store, anew).public
    exported = KeyFile(export_key(made.store, anew, backup_only=True))
    assert unlock(made.store, made.passphrase).public == newest
    made.store.delete(SECOND)
    assert unlock(made.store, anew).public == newest
    assert unlock(made.store, exported).public == newest


def test_a_backup_only_key_from_before_a_rotation_seals_to_the_new_key(made: Made) -> None:
    exported = KeyFile(export_key(made.store, made.passphrase, backup_only=True))
    before = unlock(made.store, exported).public
    anew = rotated(made)
    assert unlock(made.store, exported).public == unlock(made.store, anew).public != before


@pytest.mark.parametrize("puts", [1, 2, 3])
def test_a_rotation_cut_short_locks_nobody_out_and_can_be_done_again(made: Made, puts: int) -> None:
    with pytest.raises(Killed):
        rotate(FaultyStore(made.store, Dying("put", puts)), made.passphrase, new_secret())
    assert unlock(made.store, made.passphrase).private
    anew = rotated(made)
    assert unlock(made.store, anew).public == unlock(made.store, made.passphrase).public
    assert len(unlock(made.store, anew).private) == 2


def test_a_third_rotation_follows_the_second(made: Made) -> None:
    made.passphrase = rotated(made)
    newest = unlock(made.store, rotated(made))
    assert len(newest.private) == 3
    assert {name for name in made.store.objects if name.startswith("vault")} == {VAULT, SECOND, "vault-3.json"}


@pytest.mark.parametrize("name", ["vault-x.json", "vault-2.json.old", "vault-02.json", "vault-file"])
def test_a_stranger_among_the_vault_files_keeps_nobody_out(made: Made, name: str) -> None:
    made.store.put(ObjectName(name), b"anything")
    refuse_doubtful(made.store, unlock(made.store, made.passphrase))


def assert_not_believed(made: Made, store: MemoryStore) -> None:
    """Reading goes on with the keys there are; writing is refused."""
    ring = unlock(store, made.passphrase)
    assert (ring.meta_key, ring.public) == (made.ring.meta_key, made.ring.public)
    with pytest.raises(VaultError):
        refuse_doubtful(store, ring)


@pytest.mark.parametrize("field", ["vault", "generation", "content_key", "suite", "mac"])
def test_a_vault_file_of_which_one_word_was_changed_is_not_believed(made: Made, field: str) -> None:
    other = json.loads(make().store.objects[VAULT]) | {"generation": 9, "suite": "none"}
    assert_not_believed(made, made.changed(VAULT, **{field: other[field]}))


def test_a_later_vault_file_of_another_vault_is_not_believed(made: Made) -> None:
    other = make()
    rotated(other)
    assert_not_believed(made, MemoryStore(made.store.objects | {SECOND: other.store.objects[SECOND]}))


def test_a_slot_of_another_vault_does_not_open_this_one(made: Made) -> None:
    other = make()
    made.store.put(SLOT, other.store.objects[SLOT])
    with pytest.raises(WrongSecret):
        unlock(made.store, other.passphrase)


def test_a_slot_under_another_slots_name_is_none(made: Made) -> None:
    made.store.put(ObjectName("keys/office.json"), made.store.objects[SLOT])
    assert {info.name for info in list_slots(made.store)} == {"passphrase", "recovery"}


@pytest.mark.parametrize(
    "fields",
    [
        {"created": "2000-01-01T00:00:00+00:00"},
        {"iterations": 1},
        {"lanes": 1},
        {"memory_kib": 8 * 1024},
        {"salt": "AAAAAAAAAAAAAAAAAAAAAA=="},
        {"format": 2},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_slot_of_which_one_word_was_changed_opens_nothing(made: Made, fields: dict[str, Any]) -> None:
    with pytest.raises(VaultError):
        unlock(made.changed(SLOT, **fields), made.passphrase)


@pytest.mark.parametrize(
    "fields",
    [
        {"memory_kib": 1 << 40},
        {"memory_kib": 0},
        {"iterations": 1 << 30},
        {"iterations": -1},
        {"lanes": 0},
        {"salt": ""},
    ],
    ids=str,
)
def test_an_absurd_slot_is_refused_but_does_not_keep_others_from_opening(made: Made, fields: dict[str, Any]) -> None:
    store = made.changed(SLOT, **fields)
    with pytest.raises(VaultError, match="absurd"):
        unlock(store, made.passphrase)
    assert unlock(store, made.recovery).private
    again = keep_secret(add_recovery(store, made.recovery, "again"))
    assert unlock(store, RecoveryKey(again)).private


def test_an_absurd_slot_is_passed_over_on_the_way_to_the_right_one(made: Made) -> None:
    for name in ("a-first", "z-last"):
        add_passphrase(made.store, made.passphrase, new_secret(), name)
        store = made.changed(ObjectName(f"keys/{name}.json"), memory_kib=1 << 40, created="9999-01-01T00:00:00+00:00")
        assert unlock(store, made.passphrase).private


def test_a_rotation_leaves_slots_alone_that_bear_the_names_it_would_give(made: Made) -> None:
    office = Passphrase(new_secret())
    add_passphrase(made.store, made.passphrase, office.text, "passphrase-2")
    anew = rotated(made)
    assert len(unlock(made.store, office).private) == 1
    assert len(unlock(made.store, anew).private) == 2


def test_a_bit_flipped_anywhere_in_slot_or_vault_file_opens_nothing_wrong(made: Made) -> None:
    """Some flips hit white space or a comment-like word; then the same keys must come out."""
    sound = unlock(made.store, made.recovery)
    recovery, chance = ObjectName("keys/recovery.json"), random.Random(1)
    for name in (VAULT, recovery):
        data = made.store.objects[name]
        for at in [0, len(data) - 1, *chance.choices(range(len(data)), k=400)]:
            try:
                ring = unlock(MemoryStore(made.store.objects | {name: flip(data, at)}), made.recovery)
            except VaultError:
                continue
            assert (ring.vault_id, ring.meta_key, ring.public) == (sound.vault_id, sound.meta_key, sound.public)


def test_every_slip_in_a_recovery_key_is_told(made: Made) -> None:
    text = made.recovery.text
    slips = {text[:-1], text + "A", text[1:], text[:5] + "0" + text[6:], "", "hello", text[:8] + text[6:8] + text[10:]}
    for slip in slips - {text}:
        with pytest.raises(WrongSecret, match="typing error"):
            unlock(made.store, RecoveryKey(slip))


def test_a_passphrase_typed_with_composed_or_decomposed_letters_is_the_same() -> None:
    store, core = MemoryStore(), new_secret()
    init_vault(store, f"Stra\u00dfe nach K\u00f6ln {core}")
    assert unlock(store, Passphrase(f"Stra\u00dfe nach Ko\u0308ln {core}")).private
