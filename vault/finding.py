"""Finding a message in a snapshot by its id, or by the beginning of it, with few requests to a store far away.

A message is in a snapshot only where one of its pages says so: an id alone is no right to another account's mail.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vault.columns import ColumnError
from vault.errors import Damage
from vault.ids import BlobId
from vault.model import MessageRow, Snapshot
from vault.table import RowCodec, message_table
from vault.vault import Vault


def holds_message(vault: Vault, snapshot: Snapshot, message: BlobId) -> bool:
    """Say whether a message is in a snapshot. Raises Damage.

    The page that names it was mostly written right after it, so that an empty machine need not read all the others.
    """
    with _telling(snapshot):
        pages = vault.index.after(message, _pages(vault, snapshot))
        return any(row.blob == message for page in pages for row in _rows_holding(vault, page, message))


def messages_beginning(vault: Vault, snapshot: Snapshot, digits: str) -> set[BlobId]:
    """Return the messages of a snapshot whose ids begin with these hex digits. Reads all its pages. Raises Damage."""
    octets = bytes.fromhex(digits[: len(digits) // 2 * 2])
    with _telling(snapshot):
        rows = (row for page in _pages(vault, snapshot) for row in _rows_holding(vault, page, octets))
        return {row.blob for row in rows if row.blob.hex().startswith(digits)}


def _pages(vault: Vault, snapshot: Snapshot) -> list[BlobId]:
    boxes = vault.tree(snapshot).mailboxes
    return [leaf.blob for box in boxes for leaf in message_table(vault.read_meta_in_bulk, box.rows).leaves]


def _rows_holding(vault: Vault, page: BlobId, octets: bytes) -> list[MessageRow]:
    """Return the rows of a page, or none where these octets do not occur in it: most need not be decoded."""
    data = vault.read_meta_in_bulk(page)
    return RowCodec().decode(data) if octets in data else []


@contextmanager
def _telling(snapshot: Snapshot) -> Iterator[None]:
    try:
        yield
    except ColumnError as error:
        name = f"snapshot {snapshot.id}"
        raise Damage(f"{name}: {error}", object_name=name) from None
