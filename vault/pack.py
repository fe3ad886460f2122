"""Packs and meta objects: sealed blocks, then a directory of what is in them (docs/vault-format.md §4).

A content pack's blocks are sealed under session keys, so only the content key opens them; a meta object's under a key
derived from the meta key and the object's salt, which serves as its session id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from io import SEEK_END, BytesIO
from typing import Literal, NamedTuple

import msgspec

from vault.columns import ColumnError, ColumnReader, ColumnWriter
from vault.errors import Damage
from vault.ids import BlobId, ObjectName, PackId, SessionId
from vault.keys import KeyRing, SealedSession
from vault.seal import (
    HEADER_SIZE,
    TAG_SIZE,
    Header,
    compress,
    decompress,
    decrypt,
    derive,
    encrypt,
    new_header,
    read_header,
)

PackKind = Literal["P", "M"]
_FOOTER = 4
_SEALED_SESSION = 1168


class Block(NamedTuple):
    """Where one block lies, and the blobs in it, end to end. A catalogue block holds no blobs."""

    session: SessionId
    counter: int
    offset: int
    stored: int
    plain: int
    blobs: tuple[tuple[BlobId, int], ...]


class BlockKey(NamedTuple):
    """What seals and opens the blocks of one session."""

    session: SessionId
    key: bytes
    aad: bytes

    def seal(self, counter: int, plain: bytes, level: int) -> bytes:
        """Return a block: compressed, then sealed. A counter is used once a session."""
        return encrypt(self.key, counter, compress(plain, level), self.aad + counter.to_bytes(8, "big"))

    def open(self, counter: int, sealed: bytes, name: str) -> bytes:
        """Return a block's plain octets; raises Damage."""
        frame = decrypt(self.key, counter, sealed, self.aad + counter.to_bytes(8, "big"), name)
        return decompress(frame, name)


def block_key(vault_id: bytes, kind: PackKind, session: SessionId, key: bytes) -> BlockKey:
    """Return the key of one session's blocks, bound to the vault and the kind of object."""
    return BlockKey(session, key, b"restante v1 block" + vault_id + kind.encode() + session)


def meta_block_key(vault_id: bytes, meta_key: bytes, salt: bytes) -> BlockKey:
    """Return the key of a meta object's blocks."""
    return block_key(vault_id, "M", SessionId(salt), derive(meta_key, "M", vault_id + salt))


class Directory(msgspec.Struct, frozen=True):
    """What a pack says of itself, and an index of it: its blocks in order, and the sessions they need."""

    kind: PackKind
    blocks: tuple[Block, ...]
    sessions: tuple[SealedSession, ...] = ()


class SealedBlock(NamedTuple):
    """A block with its octets, on its way into another pack; the session is the one whose key opens it."""

    block: Block
    octets: bytes
    session: SealedSession


class PackEntry(msgspec.Struct, frozen=True):
    """One pack as the index knows it."""

    id: PackId
    size: int
    directory: Directory

    @property
    def name(self) -> ObjectName:
        """The object's name in the store."""
        return pack_name(self.directory.kind, self.id)


def pack_name(kind: PackKind, pack: PackId) -> ObjectName:
    """Return the name of a pack or meta object."""
    digits = pack.hex()
    return ObjectName(f"packs/{digits[:2]}/{digits}" if kind == "P" else f"meta/{digits}")


def encode_directory(columns: ColumnWriter, directory: Directory) -> None:
    """Add a directory's columns: blocks, blobs, sessions."""
    ids = sorted({block.session for block in directory.blocks})
    place = {session: i for i, session in enumerate(ids)}
    blobs = [blob for block in directory.blocks for blob in block.blobs]
    columns.octets(b"".join(ids))
    columns.numbers(place[b.session] for b in directory.blocks).numbers(b.counter for b in directory.blocks)
    columns.numbers(b.offset for b in directory.blocks).numbers(b.stored for b in directory.blocks)
    columns.numbers(b.plain for b in directory.blocks).numbers(len(b.blobs) for b in directory.blocks)
    columns.octets(b"".join(blob for blob, _ in blobs)).numbers(length for _, length in blobs)


def decode_directory(columns: ColumnReader, kind: PackKind, sessions: Sequence[SealedSession]) -> Directory:
    """Read what `encode_directory` added; raises ColumnError."""
    ids = columns.fixed(16)
    fields = [columns.numbers() for _ in range(6)]
    blobs, lengths = columns.fixed(16), columns.numbers()
    if len({len(f) for f in fields}) > 1 or not len(blobs) == len(lengths) == sum(fields[5]):
        raise ColumnError("a directory's columns differ in length")
    if any(not 0 <= place < len(ids) for place in fields[0]):
        raise ColumnError("a block names no session")
    if any(value < 0 for column in (*fields[1:], lengths) for value in column):
        raise ColumnError("a block lies nowhere")
    pairs = [(BlobId(blob), length) for blob, length in zip(blobs, lengths, strict=True)]
    blocks, at = [], 0
    for place, counter, offset, stored, plain, count in zip(*fields, strict=True):
        blocks.append(Block(SessionId(ids[place]), counter, offset, stored, plain, tuple(pairs[at : at + count])))
        at += count
    used = {block.session for block in blocks}
    return Directory(kind, tuple(blocks), tuple(s for s in sessions if s.id in used))


def encode_sessions(columns: ColumnWriter, sessions: Sequence[SealedSession]) -> None:
    """Add the columns of sealed sessions: ids, key ids, sealed keys."""
    columns.octets(b"".join(s.id for s in sessions)).octets(b"".join(s.key_id for s in sessions))
    columns.octets(b"".join(s.sealed for s in sessions))


def decode_sessions(columns: ColumnReader) -> list[SealedSession]:
    """Read what `encode_sessions` added; raises ColumnError."""
    ids, keys, sealed = columns.fixed(16), columns.fixed(16), columns.fixed(_SEALED_SESSION)
    if not len(ids) == len(keys) == len(sealed):
        raise ColumnError("session columns differ in length")
    return [SealedSession(SessionId(i), k, s) for i, k, s in zip(ids, keys, sealed, strict=True)]


def pack_of(ring: KeyRing, sealed: Iterable[SealedBlock]) -> tuple[bytes, Directory]:
    """Return a content pack that holds these blocks, wherever they lay before, and its directory."""
    blocks, body, sessions, offset = list[Block](), list[bytes](), dict[SessionId, SealedSession](), HEADER_SIZE
    for block, octets, session in sealed:
        blocks.append(block._replace(offset=offset))
        body.append(octets)
        offset += len(octets)
        sessions[session.id] = session
    directory = Directory("P", tuple(blocks), tuple(sessions.values()))
    return finish_pack(ring.vault_id, ring.meta_key, new_header("P"), directory, body), directory


def finish_pack(vault_id: bytes, meta_key: bytes, header: Header, directory: Directory, body: list[bytes]) -> bytes:
    """Return the whole object: header, blocks, sealed directory, and the directory's length."""
    return end_pack(vault_id, meta_key, header, directory, BytesIO(b"".join([header.encode(), *body])))


def end_pack(vault_id: bytes, meta_key: bytes, header: Header, directory: Directory, begun: BytesIO) -> bytes:
    """Return the whole object, of which `begun` holds header and blocks: it becomes the object, without a copy."""
    columns = ColumnWriter()
    encode_sessions(columns, directory.sessions)
    encode_directory(columns, directory)
    key = derive(meta_key, "directory", vault_id + header.salt)
    sealed = encrypt(key, 0, compress(columns.done(), 9), header.encode() + vault_id)
    begun.seek(0, SEEK_END)
    begun.write(sealed)
    begun.write(len(sealed).to_bytes(_FOOTER, "little"))
    return begun.getvalue()


def pack_entry(data: bytes, directory: Directory) -> PackEntry:
    """Return the index's entry for a finished object."""
    return PackEntry(PackId(hashlib.sha256(data).digest()), len(data), directory)


def directory_span(size: int, footer: bytes, name: str) -> tuple[int, int]:
    """Return where the sealed directory starts and its length, given an object's size and its last four octets."""
    length = int.from_bytes(footer, "little")
    start = size - _FOOTER - length
    if len(footer) != _FOOTER or length < TAG_SIZE or start < HEADER_SIZE:
        raise Damage(f"{name} is cut short", object_name=name)
    return start, length


def open_directory(
    vault_id: bytes, meta_key: bytes, kind: PackKind, head: bytes, sealed: bytes, name: str
) -> Directory:
    """Return the directory, given an object's first 22 octets and the sealed directory; raises Damage."""
    header = read_header(head, kind, name)
    key = derive(meta_key, "directory", vault_id + header.salt)
    body = decompress(decrypt(key, 0, sealed, header.encode() + vault_id, name), name)
    try:
        columns = ColumnReader(body)
        directory = decode_directory(columns, kind, decode_sessions(columns))
        columns.done()
    except ColumnError as error:
        raise Damage(f"{name}: {error}", object_name=name) from None
    return directory
