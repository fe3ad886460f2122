"""The frozen vaults stay readable, and `check` finds in the damaged ones what it must."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults import MemoryStore
from tests.reader import Reader
from tests.vaults.damages import DAMAGES
from tests.vaults.make_frozen import Lost, make_all
from vault.check import CheckReport, check_vault
from vault.clock import SystemClock
from vault.errors import Damage, WrongSecret
from vault.ids import ObjectName
from vault.keyring import export_key
from vault.model import Mailbox, Snapshot
from vault.rebuild import rebuild_index
from vault.slots import KeyFile, Passphrase, RecoveryKey, Secret
from vault.stores.local import LocalStore
from vault.vault import Vault, open_vault

V1 = Path(__file__).parents[1] / "vaults" / "v1"
SOUND = ["sound", "rotated", "other-things"]
ALL = [*SOUND[:2], *DAMAGES]

Row = tuple[str, str, int, tuple[str, ...], str, str]
"""Account, mailbox, UID, flags, INTERNALDATE, SHA-256 of the octets."""


@dataclass
class Frozen:
    """One frozen vault and what its `expected.json` says."""

    root: Path
    words: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.words = json.loads((self.root / "expected.json").read_text(encoding="utf-8"))

    @property
    def lost(self) -> Lost:
        return {(account, mailbox, uid) for account, mailbox, uid in self.words["lost"]}

    def open(self, secret: Secret | None = None) -> Vault:
        return open_vault(LocalStore(self.root / "vault"), secret or Passphrase(self.words["passphrase"]))

    def check(self, *, read: bool, secret: Secret | None = None) -> CheckReport:
        return check_vault(self.open(secret), read=read)

    def truth(self) -> set[Row]:
        """Return every message of every snapshot as it was backed up."""
        words = self.words
        if words["snapshots"] == "as in sound":
            words = json.loads((self.root.parent / "sound" / "expected.json").read_text(encoding="utf-8"))
        return {
            (snapshot["account"], mailbox, uid, tuple(flags), date, digest)
            for snapshot in words["snapshots"]
            for mailbox, uid, flags, date, digest in snapshot["messages"]
        }


@pytest.fixture(params=ALL)
def frozen(request: pytest.FixtureRequest) -> Frozen:
    return Frozen(V1 / request.param)


def readable(vault: Vault) -> set[Row]:
    """Read all that can be read, going on after each damage."""
    found: set[Row] = set()
    for snapshot in vault.snapshots():
        try:
            mailboxes = vault.tree(snapshot).mailboxes
        except Damage:
            continue
        for mailbox in mailboxes:
            found.update(readable_in(vault, snapshot, mailbox))
    return found


def readable_in(vault: Vault, snapshot: Snapshot, mailbox: Mailbox) -> Iterator[Row]:
    try:
        rows, flags = list(vault.rows(mailbox)), dict(vault.flags(mailbox))
    except Damage:
        return
    for row in rows:
        try:
            digest = hashlib.sha256(vault.read_message(row.blob)).hexdigest()
        except Damage:
            continue
        yield snapshot.account, mailbox.name, row.uid, flags[row.uid], row.internaldate, digest


def test_all_mail_but_what_is_lost_is_read_and_none_of_it_wrong(frozen: Frozen) -> None:
    truth, found = frozen.truth(), readable(frozen.open())
    assert found <= truth
    assert {row[:3] for row in truth} - {row[:3] for row in found} == frozen.lost


@pytest.mark.parametrize("read", [False, True], ids=["structure", "read"])
def test_check_names_what_is_damaged_and_nothing_else(frozen: Frozen, *, read: bool) -> None:
    named = {found.object for found in frozen.check(read=read).damage}
    expected = set(frozen.words["check"]["read" if read else "structure"])
    assert expected <= named
    # A name that ends in a slash says what a whole folder lacks.
    assert all(extra.endswith("/") for extra in named - expected)


def test_check_tells_the_mail_that_is_lost(frozen: Frozen) -> None:
    affected = {tuple(a) for found in frozen.check(read=True).damage for a in found.affects}
    ring = frozen.open().ring
    for account, mailbox, uid in frozen.lost:
        wholes = {(account, mailbox, None), (account, "", None), (ring.account_id(account), "", None)}
        assert affected & {(account, mailbox, uid), *wholes}
    assert {a for a in affected if a[2] is not None} <= frozen.lost


def test_check_with_the_backup_only_key_names_the_same_objects(frozen: Frozen) -> None:
    passphrase = Passphrase(frozen.words["passphrase"])
    key = KeyFile(export_key(LocalStore(frozen.root / "vault"), passphrase, backup_only=True))
    assert set(frozen.words["check"]["read"]) <= {found.object for found in frozen.check(read=True, secret=key).damage}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_vault_is_read_by_the_second_reader_and_with_the_recovery_key(name: str) -> None:
    frozen = Frozen(V1 / name)
    reader = Reader(frozen.root / "vault", recovery_key=frozen.words["recovery_key"])
    reader.load_index()
    found = {
        (snapshot["account"], m.mailbox, m.uid, tuple(m.flags), m.internaldate, hashlib.sha256(m.octets).hexdigest())
        for snapshot in reader.snapshots()
        for m in reader.messages(snapshot)
    }
    assert found == frozen.truth() == readable(frozen.open(RecoveryKey(frozen.words["recovery_key"])))
    assert frozen.check(read=True).damage == ()


@pytest.mark.parametrize("name", ["missing-index", "flipped-index"])
def test_a_rebuilt_index_brings_all_mail_back(name: str, tmp_path: Path) -> None:
    frozen = Frozen(V1 / name)
    shutil.copytree(frozen.root, tmp_path / name)
    copy, secret = Frozen(tmp_path / name), Passphrase(frozen.words["passphrase"])
    rebuild_index(LocalStore(copy.root / "vault"), secret, SystemClock())
    assert readable(copy.open()) == frozen.truth()


def test_frozen_is_every_kind_of_damage_in_little_room() -> None:
    assert {path.name for path in V1.iterdir()} == set(ALL)
    assert sum(path.stat().st_size for path in V1.rglob("*") if path.is_file()) < 1_000_000


def test_vaults_made_today_hold_what_the_frozen_ones_hold(tmp_path: Path) -> None:
    make_all(tmp_path)
    for name in ALL:
        today, frozen = Frozen(tmp_path / name), Frozen(V1 / name)
        assert today.truth() == frozen.truth()
        assert len(today.words["check"]["read"]) == len(frozen.words["check"]["read"])
        assert {row[:3] for row in today.truth()} - {row[:3] for row in readable(today.open())} == today.lost


@settings(max_examples=100)
@given(chance=st.randoms(use_true_random=False), mask=st.integers(1, 255))
def test_an_octet_changed_anywhere_in_a_sound_vault_is_named_and_makes_no_mail_wrong(
    chance: random.Random, mask: int
) -> None:
    frozen = Frozen(V1 / "sound")
    store = MemoryStore(objects_of(frozen))
    name = chance.choice(sorted(store.objects))
    data = bytearray(store.objects[name])
    data[chance.randrange(len(data))] ^= mask
    store.objects[name] = bytes(data)
    secret = RecoveryKey(frozen.words["recovery_key"])
    try:
        vault = open_vault(store, secret)
    except WrongSecret:
        assert name == "keys/recovery.json"
        return
    truth, found = frozen.truth(), readable(vault)
    assert found <= truth
    damage = {each.object for each in check_vault(open_vault(store, secret), read=True).damage}
    # White space and the last bits of base64 may change in plain JSON without changing what it says.
    assert name in damage or (name.endswith(".json") and found == truth)


def objects_of(frozen: Frozen) -> dict[ObjectName, bytes]:
    store = LocalStore(frozen.root / "vault")
    return {info.name: store.get(info.name) for info in store.list("")}
