"""Secrets and slots: from a passphrase, recovery key or key file to a key ring (docs/vault-format.md §2)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from vault.decoding import decode
from vault.errors import VaultError, WrongSecret
from vault.keys import ContentPrivateKey, ContentPublicKey, KeyRing
from vault.seal import derive

SlotKind = Literal["passphrase", "recovery"]

# RFC 9106 §4, the second recommended setting: 64 MiB keeps a backup host with little memory alive.
ITERATIONS, LANES, MEMORY_KIB = 3, 4, 64 * 1024
# A store must not be able to make us allocate its choice of memory.
_MAX_ITERATIONS, _MAX_LANES, _MAX_MEMORY_KIB = 64, 64, 1024 * 1024


@dataclass(frozen=True, slots=True)
class Passphrase:
    """What an administrator remembers."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RecoveryKey:
    """What an administrator printed: groups of letters and digits, as `new_recovery_key` gives them."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The octets of a key file, full or backup-only."""

    data: bytes = field(repr=False)


Secret = Passphrase | RecoveryKey | KeyFile


class AbsurdSlot(VaultError):
    """A slot asks for more work than any that we write: it was altered."""


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """One object below `keys/`: the vault's secrets, sealed for one passphrase or recovery key."""

    format: int
    kind: SlotKind
    vault: str
    name: str
    created: str
    salt: bytes
    iterations: int = 0
    lanes: int = 0
    memory_kib: int = 0
    sealed: bytes
    mac: str = ""

    def key(self, secret: Passphrase | RecoveryKey) -> bytes:
        """Derive the slot's own key: Argon2id (RFC 9106) of a passphrase, HKDF of a recovery key."""
        if isinstance(secret, RecoveryKey):
            return derive(parse_recovery_key(secret.text), "recovery slot", self.salt)
        sane = 0 < self.iterations <= _MAX_ITERATIONS and 0 < self.lanes <= _MAX_LANES and len(self.salt) == 16
        if not (sane and 8 * self.lanes <= self.memory_kib <= _MAX_MEMORY_KIB):
            raise AbsurdSlot(f'key slot "{self.name}" asks for absurd work', hint="the slot was altered; use another")
        text = unicodedata.normalize("NFC", secret.text).encode()
        kdf = Argon2id(
            salt=self.salt, length=32, iterations=self.iterations, lanes=self.lanes, memory_cost=self.memory_kib
        )
        return kdf.derive(text)

    def check_text(self) -> str:
        """Return what the `mac` covers, so that whoever holds the meta key can tell a damaged slot."""
        return self.aad().hex() + self.sealed.hex()

    def aad(self) -> bytes:
        """Return what binds the sealed secrets to this slot's own words and its vault."""
        words = (self.format, self.kind, self.name, self.created, self.iterations, self.lanes, self.memory_kib)
        return bytes.fromhex(self.vault) + "\n".join(map(str, words)).encode() + self.salt


class Secrets(msgspec.Struct, frozen=True):
    """What a slot holds: the meta key and every content private key so far, newest last."""

    meta: bytes
    content: tuple[bytes, ...]

    def ring(self, vault_id: bytes) -> KeyRing:
        """Return the key ring of someone who may read mail."""
        keys = [ContentPrivateKey(octets) for octets in self.content]
        return KeyRing(vault_id, self.meta, keys[-1].public(), {key.public().id: key for key in keys})


def seal_slot(vault_id: bytes, name: str, created: str, secret: Passphrase | RecoveryKey, secrets: Secrets) -> bytes:
    """Return a slot object that the given secret opens."""
    salt = os.urandom(16)
    if isinstance(secret, Passphrase):
        slot = Slot(
            format=1, kind="passphrase", vault=vault_id.hex(), name=name, created=created, salt=salt, sealed=b"",
            iterations=ITERATIONS, lanes=LANES, memory_kib=MEMORY_KIB,
        )  # fmt: skip
    else:
        slot = Slot(format=1, kind="recovery", vault=vault_id.hex(), name=name, created=created, salt=salt, sealed=b"")
    # The key is as fresh as the salt, so the nonce may be zero.
    sealed = AESGCM(slot.key(secret)).encrypt(bytes(12), msgspec.json.encode(secrets), slot.aad())
    slot = msgspec.structs.replace(slot, sealed=sealed)
    mac = secrets.ring(vault_id).authenticate(slot.check_text())
    return msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(slot, mac=mac)), indent=1)


def open_slot(slot: Slot, secret: Passphrase | RecoveryKey) -> KeyRing | None:
    """Return the key ring, or None where this secret does not open this slot."""
    if (slot.kind == "passphrase") != isinstance(secret, Passphrase):
        return None
    try:
        plain = AESGCM(slot.key(secret)).decrypt(bytes(12), slot.sealed, slot.aad())
    except InvalidTag:
        return None
    return decode(plain, Secrets).ring(bytes.fromhex(slot.vault))


def new_recovery_key() -> str:
    """Draw a recovery key: 256 random bits and a checksum of 16, in base32, in groups of five."""
    key = os.urandom(32)
    text = base64.b32encode(key + hashlib.sha256(b"restante recovery" + key).digest()[:2]).decode().rstrip("=")
    return "-".join(text[i : i + 5] for i in range(0, len(text), 5))


def parse_recovery_key(text: str) -> bytes:
    """Return a recovery key's 32 octets, however it was typed; raises WrongSecret on a slip of the pen."""
    letters = re.sub(r"[\s-]", "", text).upper()
    try:
        data = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except binascii.Error:
        data = b""
    key, checksum = data[:32], data[32:]
    if len(key) != 32 or hashlib.sha256(b"restante recovery" + key).digest()[:2] != checksum:
        raise WrongSecret("that is not a recovery key, or it has a typing error", hint="compare it with the printout")
    return key


class KeyFileContent(msgspec.Struct, frozen=True, kw_only=True):
    """A key file's JSON. `content` is empty in a backup-only one."""

    restante: str
    vault: str
    meta: bytes
    public: bytes
    content: tuple[bytes, ...] = ()


def write_key_file(ring: KeyRing, *, backup_only: bool) -> bytes:
    """Return a key file's octets; `backup_only` leaves the private keys out."""
    content = () if backup_only else tuple(key.octets for key in ring.private.values())
    words = KeyFileContent(
        restante="backup-only key" if backup_only else "full key",
        vault=ring.vault_id.hex(), meta=ring.meta_key, public=ring.public.octets, content=content,
    )  # fmt: skip
    return msgspec.json.format(msgspec.json.encode(words), indent=1) + b"\n"


def read_key_file(data: bytes) -> KeyRing:
    """Return the key ring of a key file; raises WrongSecret."""
    try:
        words = decode(data, KeyFileContent)
        vault_id = bytes.fromhex(words.vault)
        keys = [ContentPrivateKey(octets) for octets in words.content]
        private = {key.public().id: key for key in keys}
        public = ContentPublicKey(words.public).checked()
    except (msgspec.DecodeError, ValueError):
        raise WrongSecret("that is not a key file", hint="make one with `restante key export`") from None
    return KeyRing(vault_id, words.meta, public, private)
