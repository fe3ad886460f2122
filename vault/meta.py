"""Meta objects: pages, nodes and trees in solid blocks, and a block that tells of uses (docs/vault-format.md §4)."""

from __future__ import annotations

from itertools import chain

from vault.errors import Damage
from vault.ids import BlobId
from vault.keys import KeyRing
from vault.pack import Block, Directory, finish_pack, meta_block_key
from vault.seal import new_header

_BLOCK = 1 << 20
_LEVEL = 9


def meta_object(ring: KeyRing, blobs: dict[BlobId, bytes], uses: bytes = b"") -> tuple[bytes, Directory]:
    """Return a meta object that holds these stored forms in solid blocks, a block of uses, and its directory."""
    header = new_header("M")
    key = meta_block_key(ring.vault_id, ring.meta_key, header.salt)
    body: list[bytes] = []
    blocks: list[Block] = []
    offset = len(header.encode())
    groups = ((group, b"".join(stored for _, stored in group)) for group in _solid(blobs) if group)
    for counter, (group, plain) in enumerate(chain(groups, [([], uses)] if uses else [])):
        sealed = key.seal(counter, plain, _LEVEL)
        if key.open(counter, sealed, "a new meta object") != plain:
            raise Damage("a block just built does not hold what was put in", object_name="a new meta object")
        sizes = tuple((blob, len(stored)) for blob, stored in group)
        blocks.append(Block(key.session, counter, offset, len(sealed), len(plain), sizes))
        body.append(sealed)
        offset += len(sealed)
    directory = Directory("M", tuple(blocks))
    return finish_pack(ring.vault_id, ring.meta_key, header, directory, body), directory


def _solid(blobs: dict[BlobId, bytes]) -> list[list[tuple[BlobId, bytes]]]:
    groups: list[list[tuple[BlobId, bytes]]] = [[]]
    size = 0
    for blob, stored in blobs.items():
        if size >= _BLOCK:
            groups.append([])
            size = 0
        groups[-1].append((blob, stored))
        size += len(stored)
    return groups
