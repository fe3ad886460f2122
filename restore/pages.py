"""Reading a mailbox's two tables page by page, the newest first; what is damaged is said, and the rest comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from restore.select import Selected
from vault.columns import ColumnError
from vault.errors import Damage
from vault.model import Flags, Mailbox, MessageRow
from vault.table import Table, flag_table, message_table
from vault.vault import Vault

FlagRow = tuple[int, Flags]
ResultT = TypeVar("ResultT")


class Page(NamedTuple):
    """Some messages of a mailbox, ascending by UID, and what of the page can't be read."""

    messages: list[Selected]
    damage: str = ""


def newest_pages(vault: Vault, mailbox: Mailbox) -> Iterator[Page]:
    """Yield a mailbox's messages, about 512 at a time."""
    if mailbox.rows is None:
        return
    rows = _readable(lambda: message_table(vault.read_meta, mailbox.rows))
    flags = _readable(lambda: flag_table(vault.read_meta, mailbox.flags))
    if isinstance(rows, str):
        yield Page([], f"its table can't be read: {rows}")
        return
    loads = [load for _, load in rows.pages()]
    for load, load_flags in zip(reversed(loads), reversed(_beside(rows, flags)), strict=True):
        yield _page(_readable(load), _readable(load_flags))


def _beside(rows: Table[MessageRow], flags: Table[FlagRow] | str) -> list[Callable[[], list[FlagRow]]]:
    """Return what reads the flags of each page: both tables are cut at the same UIDs."""
    reason = flags if isinstance(flags, str) else "the two tables don't agree"
    if not isinstance(flags, str) and [leaf.last for leaf in flags.leaves] == [leaf.last for leaf in rows.leaves]:
        return [load for _, load in flags.pages()]

    def lost() -> list[FlagRow]:
        raise ColumnError(reason)

    return [lost for _ in rows.leaves]


def _page(rows: list[MessageRow] | str, flags: list[FlagRow] | str) -> Page:
    if isinstance(rows, str):
        return Page([], f"a page of its table can't be read: {rows}")
    if isinstance(flags, str):
        damage = f"UID {rows[0].uid} to {rows[-1].uid} come without their flags: {flags}" if rows else flags
        return Page([(row, ()) for row in rows], damage)
    known = dict(flags)
    return Page([(row, known.get(row.uid, ())) for row in rows])


def _readable(read: Callable[[], ResultT]) -> ResultT | str:
    try:
        return read()
    except Damage as damage:
        return damage.message
    except ColumnError as error:
        return str(error)
