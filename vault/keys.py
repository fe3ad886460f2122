"""Keys: what opens a vault, and what each holder of a key can do (docs/vault-format.md §2)."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from vault.errors import ContentKeyMissing, Damage
from vault.ids import AccountId, BlobId, SessionId
from vault.seal import derive, keyed_hash

SUITE_NAME = "MLKEM768_X25519/HKDF-SHA256/AES-256-GCM"
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_MLKEM_PUBLIC, _MLKEM_SEED, _X25519 = 1184, 64, 32


class SealedSession(NamedTuple):
    """One run's session key, sealed to the content public key named by `key_id`."""

    id: SessionId
    key_id: bytes
    sealed: bytes


class ContentPublicKey(msgspec.Struct, frozen=True):
    """The public half: ML-KEM-768 key (1,184 octets) then X25519 key (32)."""

    octets: bytes

    @property
    def id(self) -> bytes:
        """16 octets that name the pair."""
        return hashlib.sha256(self.octets).digest()[:16]

    def checked(self) -> ContentPublicKey:
        """Return the key itself; raises ValueError where the octets are none."""
        if len(self.octets) != _MLKEM_PUBLIC + _X25519:
            raise ValueError("not a content public key")
        return self

    def seal(self, plain: bytes, info: bytes) -> bytes:
        """Seal to this key (RFC 9180, base mode)."""
        mlkem = MLKEM768PublicKey.from_public_bytes(self.octets[:_MLKEM_PUBLIC])
        x25519 = X25519PublicKey.from_public_bytes(self.octets[_MLKEM_PUBLIC:])
        return _SUITE.encrypt(plain, MLKEM768X25519PublicKey(mlkem, x25519), info)


@dataclass(frozen=True, slots=True)
class ContentPrivateKey:
    """The private half: ML-KEM-768 seed (64 octets) then X25519 scalar (32)."""

    octets: bytes = field(repr=False)

    def public(self) -> ContentPublicKey:
        """Return the public half."""
        mlkem, x25519 = self._halves()
        return ContentPublicKey(mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw())

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """Open what was sealed to the public half; raises InvalidTag."""
        return _SUITE.decrypt(sealed, MLKEM768X25519PrivateKey(*self._halves()), info)

    def _halves(self) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
        seed, scalar = self.octets[:_MLKEM_SEED], self.octets[_MLKEM_SEED : _MLKEM_SEED + _X25519]
        return MLKEM768PrivateKey.from_seed_bytes(seed), X25519PrivateKey.from_private_bytes(scalar)


def new_content_key() -> ContentPrivateKey:
    """Draw a new content key pair."""
    mlkem, x25519 = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
    return ContentPrivateKey(mlkem.private_bytes_raw() + x25519.private_bytes_raw())


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys at hand: always the meta key and the newest content public key; the private ones only to read mail."""

    vault_id: bytes
    meta_key: bytes = field(repr=False)
    public: ContentPublicKey
    private: Mapping[bytes, ContentPrivateKey] = field(default_factory=dict, repr=False)
    _id_keys: Mapping[bytes, bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        keys = {
            b"message": derive(self.meta_key, "message id", self.vault_id),
            b"piece": derive(self.meta_key, "piece id", self.vault_id),
            b"meta": derive(self.meta_key, "meta id", self.vault_id),
            b"server": derive(self.meta_key, "server id", self.vault_id),
        }
        object.__setattr__(self, "_id_keys", keys)

    def blob_id(self, kind: bytes, content: bytes | memoryview) -> BlobId:
        """Return the id of content of a kind: b"message", b"piece" or b"meta"."""
        return BlobId(keyed_hash(self._id_keys[kind], content))

    def account_id(self, account: str) -> AccountId:
        """Return the name under which an account's snapshots are filed."""
        key = derive(self.meta_key, "account id", self.vault_id)
        return AccountId(keyed_hash(key, account.encode()).hex())

    def server_id_hash(self, account_id: AccountId, kind: str, server_id: bytes) -> bytes:
        """Return 8 octets that stand for a server's own id of a message, within one account."""
        return keyed_hash(self._id_keys[b"server"], f"{account_id} {kind} ".encode() + server_id, size=8)

    def authenticate(self, text: str) -> str:
        """Return the hex HMAC-SHA256 under which the vault file is believed."""
        return hmac.new(derive(self.meta_key, "vault file", self.vault_id), text.encode(), "sha256").hexdigest()

    def new_session(self) -> tuple[SealedSession, bytes]:
        """Draw a session key for one run; return it sealed and plain."""
        session, key = SessionId(os.urandom(16)), os.urandom(32)
        sealed = self.public.seal(key, b"restante v1 session" + self.vault_id + session)
        return SealedSession(session, self.public.id, sealed), key

    def open_session(self, session: SealedSession, name: str) -> bytes:
        """Return a session's key; raises ContentKeyMissing with a backup-only key, Damage where it was altered."""
        private = self.private.get(session.key_id)
        if private is None:
            what = "this key can't read mail" if not self.private else "this key is older than the mail"
            hint = "use the passphrase, the recovery key or a full key file: the backup-only key can't read mail"
            raise ContentKeyMissing(f"{what} (content key {session.key_id.hex()[:8]} is needed)", hint=hint)
        try:
            return private.open(session.sealed, b"restante v1 session" + self.vault_id + session.id)
        except (InvalidTag, ValueError):
            raise Damage(f"{name}: the sealed session key was altered", object_name=name) from None
