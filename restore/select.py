"""Choosing messages: by date from the table, by sender, subject and Message-ID from the catalogues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

from restore.model import Filters
from vault.catalogue import decode_catalogue, describe, encode_catalogue, readable
from vault.errors import Damage
from vault.ids import BlobId
from vault.internaldate import epoch_of
from vault.model import CatalogueEntry, Flags, MessageRow
from vault.vault import Vault

Selected = tuple[MessageRow, Flags]


def chosen(vault: Vault, messages: Sequence[Selected], filters: Filters) -> list[Selected]:
    """Return those that the filters let through. What can't be read is among them: replaying it names the damage."""
    dated = [selected for selected in messages if _in_time(selected[0], filters)]
    if not dated or not (filters.sender or filters.subject or filters.message_id):
        return dated
    return list(_matching(vault, dated, filters))


def _in_time(row: MessageRow, filters: Filters) -> bool:
    if not (filters.since or filters.before):
        return True
    day = _day(row)
    if day is None:
        return False
    return not (filters.since and day < filters.since) and not (filters.before and day >= filters.before)


def _day(row: MessageRow) -> date | None:
    epoch = epoch_of(row.internaldate)
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC).date()


def _matching(vault: Vault, chunk: Sequence[Selected], filters: Filters) -> Iterator[Selected]:
    entries = vault.catalogue({row.blob for row, _ in chunk})
    for row, flags in chunk:
        entry = entries.get(row.blob) or _entry(vault, row.blob)
        if entry is None or _matches(entry, filters):
            yield row, flags


def _entry(vault: Vault, blob: BlobId) -> CatalogueEntry | None:
    """Return what a lost catalogue would have said, from the message itself."""
    try:
        octets = vault.read_message(blob)
    except Damage:
        return None
    return decode_catalogue(encode_catalogue([describe(blob, [octets])]))[0]


def _matches(entry: CatalogueEntry, filters: Filters) -> bool:
    asked = ((filters.sender, entry.sender), (filters.subject, entry.subject), (filters.message_id, entry.message_id))
    return all(word.casefold() in readable(value).casefold() for word, value in asked if word)
