"""Sealing: the one place where keys meet octets (docs/vault-format.md §3)."""

from __future__ import annotations

import os
from typing import Literal

import msgspec
import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vault.errors import Damage

MAGIC = b"RSTE"
FORMAT = 1
HEADER_SIZE = 22
TAG_SIZE = 16

Kind = Literal["P", "M", "I", "S", "R", "T", "H"]
"""Content pack, meta object, index, snapshot, run record, tombstone, hold."""

# zstd frames say their own size; a hostile one must not make us allocate more than any honest object needs.
MAX_PLAIN = 1 << 30


def derive(secret: bytes, label: str, salt: bytes) -> bytes:
    """Derive a 32-octet key for one purpose (RFC 5869, HKDF-SHA256)."""
    return HKDF(SHA256(), 32, salt, b"restante v1 " + label.encode()).derive(secret)


class Header(msgspec.Struct, frozen=True):
    """The first 22 octets of every sealed object: magic, format, kind, 16 random octets of salt."""

    kind: Kind
    salt: bytes

    def encode(self) -> bytes:
        """Return the 22 octets."""
        return MAGIC + bytes((FORMAT,)) + self.kind.encode() + self.salt


def new_header(kind: Kind) -> Header:
    """Return a header with a fresh salt."""
    return Header(kind, os.urandom(16))


def read_header(data: bytes, kind: Kind, name: str) -> Header:
    """Return the header of an object that should be of this kind; raises Damage."""
    if len(data) < HEADER_SIZE or data[:4] != MAGIC:
        raise Damage(f"{name} is not an object of this vault", object_name=name)
    if data[4] != FORMAT:
        raise Damage(f"{name} has format {data[4]}, this program reads {FORMAT}", object_name=name)
    if data[5:6] != kind.encode():
        raise Damage(f"{name} is of another kind than its name says", object_name=name)
    return Header(kind, data[6:HEADER_SIZE])


def encrypt(key: bytes, counter: int, plain: bytes, aad: bytes) -> bytes:
    """Seal with AES-256-GCM, the counter as 12-octet big-endian nonce. A (key, counter) pair is used once."""
    return AESGCM(key).encrypt(counter.to_bytes(12, "big"), plain, aad)


def decrypt(key: bytes, counter: int, sealed: bytes, aad: bytes, name: str) -> bytes:
    """Open what `encrypt` sealed; raises Damage naming the object."""
    try:
        return AESGCM(key).decrypt(counter.to_bytes(12, "big"), sealed, aad)
    except (InvalidTag, ValueError):
        raise Damage(f"{name} does not hold what was written", object_name=name) from None


def compress(plain: bytes, level: int) -> bytes:
    """Return one zstd frame that tells its content size."""
    return zstandard.ZstdCompressor(level=level).compress(plain)


def decompress(frame: bytes, name: str) -> bytes:
    """Return a frame's content; raises Damage where it is none, or claims an absurd size."""
    try:
        if zstandard.frame_content_size(frame) > MAX_PLAIN:
            raise Damage(f"{name} claims to hold more than any object may", object_name=name)
        return zstandard.ZstdDecompressor().decompress(frame)
    except zstandard.ZstdError:
        raise Damage(f"{name} can't be decompressed", object_name=name) from None


def seal_object(secret: bytes, vault_id: bytes, kind: Kind, name: str, body: bytes) -> bytes:
    """Seal a small object (index, snapshot, run record, tombstone) whole, bound to its vault, kind and name."""
    header = new_header(kind)
    key = derive(secret, kind, vault_id + header.salt)
    return header.encode() + encrypt(key, 0, compress(body, 9), header.encode() + vault_id + name.encode())


def open_object(secret: bytes, vault_id: bytes, kind: Kind, name: str, data: bytes) -> bytes:
    """Open what `seal_object` sealed; raises Damage."""
    header = read_header(data, kind, name)
    key = derive(secret, kind, vault_id + header.salt)
    return decompress(decrypt(key, 0, data[HEADER_SIZE:], header.encode() + vault_id + name.encode(), name), name)


def keyed_hash(key: bytes, data: bytes | memoryview, size: int = 16) -> bytes:
    """Return the first octets of the data's BLAKE3 under a key of 32 octets."""
    return blake3(data, key=key).digest(length=size)


def checksum(data: bytes | memoryview) -> bytes:
    """Return 16 octets that tell whether data in memory has changed; nothing at rest is named by them."""
    return blake3(data).digest(length=16)
