"""Choosing messages: by date from the table, by sender, subject and Message-ID from the catalogues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from itertools import islice

from restore.model import Filters
from vault.internaldate import epoch_of
from vault.model import CatalogueEntry, Flags, Mailbox, MessageRow
from vault.vault import Vault

Selected = tuple[MessageRow, Flags]
_AT_ONCE = 5000


def select_rows(vault: Vault, mailbox: Mailbox, filters: Filters) -> Iterator[Selected]:
    """Yield the rows of a mailbox that the filters let through, with their flags, oldest first."""
    rows = zip(vault.rows(mailbox), vault.flags(mailbox), strict=True)
    dated = ((row, flags) for row, (_, flags) in rows if _in_time(row, filters))
    if not (filters.sender or filters.subject or filters.message_id):
        yield from dated
        return
    while chunk := list(islice(dated, _AT_ONCE)):
        yield from _matching(vault, chunk, filters)


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
        entry = entries.get(row.blob)
        if entry and _matches(entry, filters):
            yield row, flags


def _matches(entry: CatalogueEntry, filters: Filters) -> bool:
    asked = ((filters.sender, entry.sender), (filters.subject, entry.subject), (filters.message_id, entry.message_id))
    return all(word.casefold() in readable(value).casefold() for word, value in asked if word)


def readable(value: str) -> str:
    """Return a header value with its encoded words decoded (RFC 2047); as it is where they are broken."""
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, UnicodeError, ValueError):
        return value
