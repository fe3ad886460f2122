"""Sealed sessions are what the page says: RFC 9180 and X-Wing, here by hand from hashes, ML-KEM and X25519."""

from __future__ import annotations

import hashlib
import hmac
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vault.errors import ContentKeyMissing, Damage
from vault.keys import ContentPrivateKey, KeyRing, SealedSession, new_content_key

SUITE_ID = b"HPKE" + bytes.fromhex("647a 0001 0002")


def ring(*keys: ContentPrivateKey) -> KeyRing:
    return KeyRing(os.urandom(16), os.urandom(32), keys[-1].public(), {key.public().id: key for key in keys})


def extract(salt: bytes, label: bytes, octets: bytes) -> bytes:
    return hmac.digest(salt, b"HPKE-v1" + SUITE_ID + label + octets, "sha256")


def expand(secret: bytes, label: bytes, info: bytes, size: int) -> bytes:
    labelled = size.to_bytes(2, "big") + b"HPKE-v1" + SUITE_ID + label + info
    return hmac.digest(secret, labelled + b"\1", "sha256")[:size]


def opened_by_hand(key: bytes, sealed: bytes, info: bytes) -> bytes:
    mlkem, x25519 = MLKEM768PrivateKey.from_seed_bytes(key[:64]), X25519PrivateKey.from_private_bytes(key[64:])
    ciphertext, ephemeral = sealed[:1088], sealed[1088:1120]
    shared = hashlib.sha3_256(
        mlkem.decapsulate(ciphertext)
        + x25519.exchange(X25519PublicKey.from_public_bytes(ephemeral))
        + ephemeral
        + x25519.public_key().public_bytes_raw()
        + rb"\.//^\\"[:6]
    ).digest()
    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    nonce = expand(secret, b"base_nonce", context, 12)
    return AESGCM(expand(secret, b"key", context, 32)).decrypt(nonce, sealed[1120:], b"")


def test_a_sealed_session_opens_by_hand() -> None:
    key = new_content_key()
    ours = ring(key)
    session, plain = ours.new_session()
    assert len(session.sealed) == 1168
    assert session.key_id == hashlib.sha256(ours.public.octets).digest()[:16]
    assert opened_by_hand(key.octets, session.sealed, b"restante v1 session" + ours.vault_id + session.id) == plain


def test_no_two_sessions_share_key_or_id() -> None:
    ours = ring(new_content_key())
    made = [ours.new_session() for _ in range(20)]
    assert len({session.id for session, _ in made}) == len({plain for _, plain in made}) == 20


def test_a_session_is_bound_to_its_id_and_its_vault() -> None:
    key = new_content_key()
    ours, theirs = ring(key), ring(key)
    (one, _), (other, _) = ours.new_session(), ours.new_session()
    with pytest.raises(Damage):
        ours.open_session(SealedSession(other.id, one.key_id, one.sealed), "a pack")
    with pytest.raises(Damage):
        theirs.open_session(one, "a pack")


def test_a_session_for_a_key_not_at_hand_is_told_apart_from_damage() -> None:
    session, _ = ring(new_content_key()).new_session()
    with pytest.raises(ContentKeyMissing):
        ring(new_content_key()).open_session(session, "a pack")


def test_private_keys_do_not_show_when_a_ring_is_printed() -> None:
    key = new_content_key()
    shown = repr(ring(key)) + repr(key)
    assert repr(key.octets)[2:12] not in shown
    assert "meta_key" not in shown
