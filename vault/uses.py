"""Uses: which pieces the messages of a run need, told in a form that the meta key opens.

Recipes lie in blocks that only the content key opens, yet whoever prunes must know what they need. So each flush writes
beside its pages a block without blobs that says it (docs/vault-format.md §5). It covers the packs of that flush: a
message in them that it does not name needs no pieces.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

from vault.blobs import BlobReader
from vault.columns import ColumnError, ColumnReader, ColumnWriter
from vault.errors import Damage
from vault.ids import BlobId, PackId
from vault.index import Index

_USES = b"U"


class Uses(NamedTuple):
    """The packs covered, and for each message in them that is a recipe its pieces."""

    packs: tuple[PackId, ...]
    pieces: Mapping[BlobId, tuple[BlobId, ...]]


def encode_uses(packs: Sequence[PackId], pieces: Mapping[BlobId, Sequence[BlobId]]) -> bytes:
    """Return a uses block: its mark, packs, messages, how many pieces each needs, pieces."""
    columns = ColumnWriter().octets(_USES).octets(b"".join(packs)).octets(b"".join(pieces))
    columns.numbers(len(found) for found in pieces.values())
    return columns.octets(b"".join(piece for found in pieces.values() for piece in found)).done()


def decode_uses(data: bytes) -> Uses:
    """Return what a uses block says, nothing for a block that is something else; raises ColumnError."""
    columns = ColumnReader(data)
    if columns.octets() != _USES:
        return Uses((), {})
    packs, messages, counts, pieces = columns.fixed(32), columns.fixed(16), columns.numbers(), columns.fixed(16)
    columns.done()
    if len(messages) != len(counts) or sum(counts) != len(pieces) or min(counts, default=0) < 0:
        raise ColumnError("a uses block's columns differ in length")
    found, at = {}, 0
    for message, count in zip(messages, counts, strict=True):
        found[BlobId(message)] = tuple(BlobId(piece) for piece in pieces[at : at + count])
        at += count
    return Uses(tuple(PackId(pack) for pack in packs), found)


def learn_uses(index: Index, reader: BlobReader, present: Container[str] | None = None) -> list[Damage]:
    """Read the uses blocks that the index has not learned yet; return those that can't be read. Raises StoreError.

    `present` names the objects that are there, where that is known; others are passed over.
    """
    damage = []
    for place in index.unread_uses():
        if present is not None and place.object_name not in present:
            continue
        try:
            index.learn_uses(place.object_name, *decode_uses(reader.block(place)))
        except Damage as error:
            damage.append(error)
        except ColumnError as error:
            damage.append(Damage(f"{place.object_name}: {error}", object_name=place.object_name))
    return damage
