"""Who can open a vault: the vault file, and the slots below `keys/` (docs/vault-format.md §2)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import count

import msgspec

from vault.clock import Clock, SystemClock
from vault.errors import ObjectMissing, VaultError, WrongSecret
from vault.ids import ObjectName
from vault.keys import SUITE_NAME, ContentPublicKey, KeyRing, new_content_key
from vault.slots import (
    AbsurdSlot,
    KeyFile,
    Passphrase,
    RecoveryKey,
    Secret,
    Secrets,
    Slot,
    SlotKind,
    new_recovery_key,
    open_slot,
    read_key_file,
    seal_slot,
    write_key_file,
)
from vault.stores.base import FullStore, ReadStore, WriteStore

VAULT_FILE = ObjectName("vault.json")
_LATER_FILE = re.compile(r"vault-[1-9][0-9]*\.json")
_SLOT_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class VaultFile(msgspec.Struct, frozen=True, kw_only=True):
    """`vault.json`, and `vault-<generation>.json` for each later content key: plain, believed because of its `mac`."""

    format: int
    vault: str
    suite: str
    generation: int
    content_key: bytes
    mac: str = ""

    def text(self) -> str:
        """Return what the `mac` covers."""
        return f"{self.format}\n{self.vault}\n{self.suite}\n{self.generation}\n{self.content_key.hex()}"


@dataclass(frozen=True, slots=True)
class SlotInfo:
    """A slot as `key list` shows it."""

    name: str
    kind: SlotKind
    created: str


def init_vault(
    store: WriteStore,
    passphrase: str,
    *,
    clock: Clock | None = None,
    slot: str = "passphrase",
    recovery: str = "recovery",
) -> str:
    """Make a vault with one passphrase slot and one recovery slot; return the recovery key, to be shown once."""
    _refuse_weak(passphrase)
    if next(iter(store.list("")), None) is not None:
        hint = "choose an empty place, or use the vault that is there"
        raise VaultError(f"{store.url} is not empty", hint=hint)
    secrets = Secrets(os.urandom(32), (new_content_key().octets,))
    vault_id = os.urandom(16)
    ring = secrets.ring(vault_id)
    recovery_key = new_recovery_key()
    created = (clock or SystemClock()).now().isoformat(timespec="seconds")
    store.put(_slot_name(slot), seal_slot(vault_id, slot, created, Passphrase(passphrase), secrets))
    store.put(_slot_name(recovery), seal_slot(vault_id, recovery, created, RecoveryKey(recovery_key), secrets))
    # The vault file comes last: a vault that has one can be opened.
    store.put(VAULT_FILE, _vault_file(ring, 1))
    return recovery_key


def unlock(store: ReadStore, secret: Secret) -> KeyRing:
    """Return the key ring that a secret opens; raises WrongSecret, or VaultError where there is no sound vault."""
    first = _read_vault_file(store, VAULT_FILE)
    vault_id = bytes.fromhex(first.vault)
    ring = _ring(store, vault_id, secret)
    files = [_believed(ring, first, VAULT_FILE)]
    files += [_believed(ring, _read_vault_file(store, name), name) for name in _later_files(store)]
    if ring.public.octets not in {file.content_key for file in files}:
        # A store must not win an older key's use by hiding the file that names the newest one.
        return ring
    newest = max(files, key=lambda file: file.generation)
    return KeyRing(vault_id, ring.meta_key, ContentPublicKey(newest.content_key), ring.private)


def list_slots(store: ReadStore) -> list[SlotInfo]:
    """List the slots; a damaged one is left out, so that it can't block the others."""
    return [SlotInfo(s.name, s.kind, s.created) for s in _slots(store)]


def add_passphrase(
    store: WriteStore, secret: Secret, passphrase: str, slot: str, *, clock: Clock | None = None
) -> None:
    """Add a slot for another passphrase; needs a secret that can read mail."""
    _refuse_weak(passphrase)
    _add_slot(store, secret, slot, Passphrase(passphrase), clock)


def add_recovery(store: WriteStore, secret: Secret, slot: str, *, clock: Clock | None = None) -> str:
    """Add a slot for a new recovery key and return it."""
    key = new_recovery_key()
    _add_slot(store, secret, slot, RecoveryKey(key), clock)
    return key


def remove_slot(store: FullStore, secret: Secret, slot: str) -> None:
    """Remove a slot, but never the last one that opens the vault."""
    unlock(store, secret)
    names = [s.name for s in list_slots(store)]
    if slot not in names:
        raise VaultError(f'there is no key slot "{slot}"', hint="`restante key list` shows them")
    if len(names) == 1:
        raise VaultError(f'"{slot}" is the last key slot', hint="add another with `restante key add` first")
    store.delete(_slot_name(slot))


def rotate(store: WriteStore, secret: Secret, passphrase: str, *, clock: Clock | None = None) -> str:
    """Make a new content key pair for what comes, with a passphrase and a recovery slot of its own.

    Older slots go on opening older mail only, until they are removed. Returns the new recovery key.
    """
    _refuse_weak(passphrase)
    ring = _full(unlock(store, secret))
    generation = 2 + len(_later_files(store))
    taken = {s.name for s in list_slots(store)}
    suffix = next(n for n in count(generation) if not taken & {f"passphrase-{n}", f"recovery-{n}"})
    secrets = Secrets(ring.meta_key, (*(k.octets for k in ring.private.values()), new_content_key().octets))
    recovery_key, created = new_recovery_key(), (clock or SystemClock()).now().isoformat(timespec="seconds")
    new_slots: list[tuple[str, Passphrase | RecoveryKey]] = [
        (f"passphrase-{suffix}", Passphrase(passphrase)),
        (f"recovery-{suffix}", RecoveryKey(recovery_key)),
    ]
    for name, opener in new_slots:
        store.put(_slot_name(name), seal_slot(ring.vault_id, name, created, opener, secrets))
    store.put(ObjectName(f"vault-{generation}.json"), _vault_file(secrets.ring(ring.vault_id), generation))
    return recovery_key


def export_key(store: ReadStore, secret: Secret, *, backup_only: bool) -> bytes:
    """Return a key file's octets; a backup-only one can back up and check, but not read mail."""
    ring = unlock(store, secret)
    return write_key_file(ring if backup_only else _full(ring), backup_only=backup_only)


def _add_slot(
    store: WriteStore, secret: Secret, name: str, opener: Passphrase | RecoveryKey, clock: Clock | None
) -> None:
    ring = _full(unlock(store, secret))
    if name in {s.name for s in list_slots(store)}:
        raise VaultError(f'there is a key slot "{name}" already', hint="choose another name")
    created = (clock or SystemClock()).now().isoformat(timespec="seconds")
    secrets = Secrets(ring.meta_key, tuple(key.octets for key in ring.private.values()))
    store.put(_slot_name(name), seal_slot(ring.vault_id, name, created, opener, secrets))


def _ring(store: ReadStore, vault_id: bytes, secret: Secret) -> KeyRing:
    if isinstance(secret, KeyFile):
        ring = read_key_file(secret.data)
        if ring.vault_id != vault_id:
            raise WrongSecret(f"the key file is for another vault than {store.url}", hint="check --vault and the file")
        return ring
    # Newest slot first: after a rotation it opens the most.
    slots = sorted(_slots(store), key=lambda slot: slot.created, reverse=True)
    absurd: VaultError | None = None
    for slot in slots:
        try:
            if secrets := open_slot(vault_id, slot, secret):
                return secrets.ring(vault_id)
        except AbsurdSlot as error:
            absurd = error  # another slot may still open
    if absurd:
        raise absurd
    names = ", ".join(f'"{slot.name}"' for slot in slots)
    what = "passphrase" if isinstance(secret, Passphrase) else "recovery key"
    raise WrongSecret(
        f"the {what} does not open vault {store.url} ({len(slots)} slots: {names})",
        hint="set RESTANTE_PASSPHRASE_FILE, or use the recovery key that `restante init` printed",
    )


def _full(ring: KeyRing) -> KeyRing:
    if not ring.private:
        raise WrongSecret("the backup-only key can't do that", hint="use the passphrase, recovery key or full key file")
    return ring


def _slots(store: ReadStore) -> list[Slot]:
    slots = []
    for info in store.list("keys/"):
        slot = read_slot(info.name, store.get(info.name))
        if slot:
            slots.append(slot)
    return slots


def read_slot(name: ObjectName, data: bytes) -> Slot | None:
    """Return the slot in an object; None for a damaged one, which must not keep the others from opening the vault."""
    try:
        slot = msgspec.json.decode(data, type=Slot)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return slot if name == f"keys/{slot.name}.json" else None


def _slot_name(slot: str) -> ObjectName:
    if not _SLOT_NAME.fullmatch(slot):
        raise VaultError(f'"{slot}" is no name for a key slot', hint="use small letters, digits and hyphens")
    return ObjectName(f"keys/{slot}.json")


def _later_files(store: ReadStore) -> list[ObjectName]:
    return [info.name for info in store.list("vault-") if _LATER_FILE.fullmatch(info.name)]


def _vault_file(ring: KeyRing, generation: int) -> bytes:
    words = VaultFile(
        format=1, vault=ring.vault_id.hex(), suite=SUITE_NAME, generation=generation, content_key=ring.public.octets
    )
    words = msgspec.structs.replace(words, mac=ring.authenticate(words.text()))
    return msgspec.json.format(msgspec.json.encode(words), indent=1)


def _read_vault_file(store: ReadStore, name: ObjectName) -> VaultFile:
    try:
        words = msgspec.json.decode(store.get(name), type=VaultFile)
        bytes.fromhex(words.vault)
    except ObjectMissing:
        hint = "make one with `restante init`, or check --vault"
        raise VaultError(f"there is no vault at {store.url}", hint=hint) from None
    except (msgspec.DecodeError, ValueError):
        raise VaultError(f"{name} of {store.url} is damaged", hint="take it from a copy of the vault") from None
    if words.format != 1 or words.suite != SUITE_NAME:
        raise VaultError(
            f"{store.url} has vault format {words.format}, this program reads 1", hint="use a newer program"
        )
    return words


def _believed(ring: KeyRing, words: VaultFile, name: ObjectName) -> VaultFile:
    if ring.authenticate(words.text()) != words.mac:
        hint = "do not back up into it; compare with a copy of the vault"
        raise VaultError(f"{name} was altered: it is not what the holder of the keys wrote", hint=hint)
    return words


def _refuse_weak(passphrase: str) -> None:
    if len(passphrase) < 8:
        raise VaultError("the passphrase is too short", hint="use at least 8 characters; six random words are good")
