"""Who can open a vault: the vault file, and the slots below `keys/` (docs/vault-format.md §2)."""

from __future__ import annotations

import hmac
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count

import msgspec

from vault.clock import Clock, SystemClock
from vault.decoding import decode
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
from vault.together import together

VAULT_FILE = ObjectName("vault.json")
_VAULT_ID = re.compile(r"[0-9a-f]{32}")
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


class SlotInfo(msgspec.Struct, frozen=True):
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
    if _holds_something(store):
        hint = "use the vault that is there, or an empty place; what an interrupted `init` left may be deleted"
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
    """Return the key ring that a secret opens; raises WrongSecret, or VaultError where there is no vault.

    A damaged or missing vault file keeps nobody from reading: what it says is used only where it is believed.
    """
    with ThreadPoolExecutor(1) as aside:
        reading = aside.submit(_vault_files, store)
        slots = _slots(store)
        files = reading.result()
    if not slots and not any(files.values()):
        raise _no_vault(store, damaged=bool(files))
    ring = _ring(store, files, slots, secret)
    believed = [words for words in files.values() if words and is_believed(ring, words)]
    for words in believed:
        _refuse_unknown_format(store, words)
    if ring.public.octets not in {words.content_key for words in believed}:
        # A store must not win an older key's use by hiding the file that names the newest one.
        return ring
    newest = max(believed, key=lambda words: words.generation)
    return KeyRing(ring.vault_id, ring.meta_key, ContentPublicKey(newest.content_key), ring.private)


def unlock_to_look(store: ReadStore, secret: Secret) -> KeyRing:
    """Return the same for someone who writes nothing, whom the newest content key need not concern.

    A key file needs no slots, so that a vault file that it believes is all there is to read.
    """
    if isinstance(secret, KeyFile):
        ring = read_key_file(secret.data)
        with suppress(ObjectMissing):
            words = read_vault_file(store.get(VAULT_FILE))
            if words and words.vault == ring.vault_id.hex() and is_believed(ring, words):
                _refuse_unknown_format(store, words)
                return ring
    return unlock(store, secret)


def doubts(store: ReadStore, ring: KeyRing) -> dict[ObjectName, str]:
    """Return the vault files that are not as the holder of the keys wrote them, and why. Nobody should write then."""
    files = _vault_files(store)
    found = {VAULT_FILE: "it is missing"} if VAULT_FILE not in files else {}
    for name, words in files.items():
        if words is None:
            found[name] = "it can't be read"
        elif not is_believed(ring, words):
            found[name] = "it was altered: it is not what the holder of the keys wrote"
    return found


def is_vault_file(name: ObjectName) -> bool:
    """Say whether a vault file bears such a name."""
    return name == VAULT_FILE or _LATER_FILE.fullmatch(name) is not None


def _holds_something(store: ReadStore) -> bool:
    """Whether anything lies there but probes of Object Lock, which come first: no vault is made where no lock holds."""
    return any(not info.name.startswith("probes/") for info in store.list(""))


def refuse_another(store: ReadStore, vault_id: bytes, *, empty: bool) -> None:
    """Raise VaultError where a place holds another vault than this one, or no vault; `empty` lets it hold nothing."""
    words = [*_vault_files(store).values(), *_slots(store)]
    told = {one.vault for one in words if one}
    if told == {vault_id.hex()}:
        return
    if told:
        hint = "name a copy of this vault, or an empty place"
        raise VaultError(f"{store.url} holds another vault than this one", hint=hint)
    if _holds_something(store):
        raise VaultError(f"{store.url} holds something, but no vault that can be read", hint="name another place")
    if not empty:
        raise VaultError(f"there is no vault at {store.url}", hint="`restante copy` makes a copy of this one there")


def refuse_doubtful(store: ReadStore, ring: KeyRing) -> None:
    """Raise VaultError where a vault file is not as the holder of the keys wrote it; to be asked before writing."""
    for name, reason in doubts(store, ring).items():
        hint = "do not back up into it; take the file from a copy of the vault (restore works without it)"
        raise VaultError(f"{name} of {store.url}: {reason}", hint=hint)


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
    refuse_doubtful(store, ring)
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


def _ring(
    store: ReadStore, files: Mapping[ObjectName, VaultFile | None], slots: Sequence[Slot], secret: Secret
) -> KeyRing:
    if isinstance(secret, KeyFile):
        ring = read_key_file(secret.data)
        if ring.vault_id.hex() not in {words.vault for words in (*files.values(), *slots) if words}:
            raise WrongSecret(f"the key file is for another vault than {store.url}", hint="check --vault and the file")
        return ring
    absurd: VaultError | None = None
    # One object that names another vault, be it damaged or slipped in, is outvoted by the rest.
    ((vault, _),) = Counter(words.vault for words in (*slots, *files.values()) if words).most_common(1)
    ours = (slot for slot in slots if slot.vault == vault)
    # Newest slot first: after a rotation it opens the most.
    for slot in sorted(ours, key=lambda slot: slot.created, reverse=True):
        try:
            if ring_found := open_slot(slot, secret):
                return ring_found
        except AbsurdSlot as error:
            absurd = error  # another slot may still open
    for words in files.values():
        if words:
            _refuse_unknown_format(store, words)
    raise absurd or _wrong(store, slots, secret)


def _wrong(store: ReadStore, slots: Sequence[Slot], secret: Passphrase | RecoveryKey) -> WrongSecret:
    names = ", ".join(f'"{slot.name}"' for slot in slots)
    what = "passphrase" if isinstance(secret, Passphrase) else "recovery key"
    return WrongSecret(
        f"the {what} does not open vault {store.url} ({len(slots)} slots: {names})",
        hint="set RESTANTE_PASSPHRASE_FILE, or use the recovery key that `restante init` printed",
    )


def _no_vault(store: ReadStore, *, damaged: bool) -> VaultError:
    if damaged:
        hint = "take its vault.json and keys/ from a copy of the vault"
        return VaultError(f"neither vault file nor key slot of {store.url} can be read", hint=hint)
    return VaultError(f"there is no vault at {store.url}", hint="make one with `restante init`, or check --vault")


def _full(ring: KeyRing) -> KeyRing:
    if not ring.private:
        raise WrongSecret("the backup-only key can't do that", hint="use the passphrase, recovery key or full key file")
    return ring


def _slots(store: ReadStore) -> list[Slot]:
    names = [info.name for info in store.list("keys/")]
    found = together(lambda name: read_slot(name, store.get(name)), names)
    return [slot for slot in found if slot]


def read_slot(name: ObjectName, data: bytes) -> Slot | None:
    """Return the slot in an object; None for a damaged one, which must not keep the others from opening the vault."""
    try:
        slot = decode(data, Slot)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return slot if name == f"keys/{slot.name}.json" and _VAULT_ID.fullmatch(slot.vault) else None


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


def _vault_files(store: ReadStore) -> dict[ObjectName, VaultFile | None]:
    """Return what each vault file says; None for one that can't be read."""
    listed = (info.name for info in store.list("vault"))
    return {
        name: read_vault_file(store.get(name))
        for name in listed
        if is_vault_file(name)
    }  # fmt: skip


def read_vault_file(data: bytes) -> VaultFile | None:
    """Return what a vault file says; None for one that can't be read."""
    try:
        words = decode(data, VaultFile)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return words if _VAULT_ID.fullmatch(words.vault) else None


def _refuse_unknown_format(store: ReadStore, words: VaultFile) -> None:
    if words.format != 1 or words.suite != SUITE_NAME:
        raise VaultError(
            f"{store.url} has vault format {words.format}, this program reads 1", hint="use a newer program"
        )


def is_believed(ring: KeyRing, words: VaultFile) -> bool:
    """Say whether a holder of the meta key wrote it."""
    return hmac.compare_digest(ring.authenticate(words.text()).encode(), words.mac.encode())


def _refuse_weak(passphrase: str) -> None:
    if len(passphrase) < 8:
        raise VaultError("the passphrase is too short", hint="use at least 8 characters; six random words are good")
