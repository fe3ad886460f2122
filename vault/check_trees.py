"""Following snapshots down to every message they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from vault.blobs import BlobReader
from vault.check_report import Affected, Findings
from vault.columns import ColumnError
from vault.decoding import decode
from vault.errors import Damage
from vault.ids import BlobId, ObjectName
from vault.index import Index, Location
from vault.model import Mailbox, MessageRow, Snapshot, Tree
from vault.table import FlagRow, Table, flag_table, message_table

NO_INDEX = "no index names all that the snapshots need; run `restante index rebuild`"


class TreeChecker:
    """Reads trees, nodes and pages, and finds for each message a copy that is there.

    `listed` holds the sizes of all packs and meta objects, `bad_copies` what reading them found: for a pack and a blob
    in it the object at fault.
    """

    def __init__(
        self,
        findings: Findings,
        reader: BlobReader,
        index: Index,
        listed: Mapping[ObjectName, int],
        bad_copies: Mapping[tuple[ObjectName, BlobId], str],
    ) -> None:
        self._findings = findings
        self._reader = reader
        self._index = index
        self._listed = listed
        self._bad_copies = bad_copies
        self._seen: set[tuple[str, str, bytes]] = set()

    def check(self, snapshot: Snapshot) -> None:
        """Check all that a snapshot names. Raises StoreError."""
        with self._noting(snapshot.tree, Affected(snapshot.account, "", None)):
            tree = decode(self._reader.read(BlobId(snapshot.tree), b"meta"), Tree)
            for mailbox in tree.mailboxes:
                self._mailbox(snapshot.account, mailbox, snapshot.tree)

    def _mailbox(self, account: str, mailbox: Mailbox, tree: bytes) -> None:
        whole = Affected(account, mailbox.name, None)
        for root, open_table in ((mailbox.rows, message_table), (mailbox.flags, flag_table)):
            if root is None and mailbox.messages:
                self._findings.damaged(self._holder(tree), "its tree names no page of a mailbox", whole)
            elif root and self._first_time(account, mailbox.name, root):
                with self._noting(root, whole):
                    table = open_table(self._read, root)
                    self._pages(table, whole)
                    if table.count != mailbox.messages:
                        self._findings.damaged(self._holder(root), "a table has other rows than its tree says", whole)

    def _pages(self, table: Table[MessageRow] | Table[FlagRow], whole: Affected) -> None:
        for page, load in table.pages():
            if self._first_time(whole.account, whole.mailbox, page):
                with self._noting(page, whole):
                    for row in load():
                        if isinstance(row, MessageRow):
                            self._message(row, whole)

    def _first_time(self, account: str, mailbox: str, blob: bytes) -> bool:
        if (account, mailbox, blob) in self._seen:
            return False
        self._seen.add((account, mailbox, blob))
        return True

    def _read(self, blob: BlobId) -> bytes:
        return self._reader.read(blob, b"meta")

    @contextmanager
    def _noting(self, blob: bytes, affected: Affected) -> Iterator[None]:
        """Note what keeps a tree, node or page from being read, and go on after it."""
        try:
            yield
        except Damage as damage:
            if "/" in damage.object_name:
                self._findings.damaged(damage.object_name, damage.message, affected)
            else:
                self._findings.damaged("index/", NO_INDEX, affected)
        except (ColumnError, msgspec.DecodeError) as error:
            self._findings.damaged(self._holder(blob), f"a tree or page in it can't be read: {error}", affected)

    def _holder(self, blob: bytes) -> str:
        places = self._index.locate(BlobId(blob))
        return places[0].object_name if places else "index/"

    def _message(self, row: MessageRow, whole: Affected) -> None:
        """Note a message of which no sound copy is left, under the object at fault."""
        affected = whole._replace(uid=row.uid)
        places = self._index.locate(row.blob)
        if not places:
            self._findings.damaged("index/", NO_INDEX, affected)
            return
        faults = [self._fault(place, row.blob) for place in places]
        if all(faults):
            self._findings.damaged(faults[0], "it lacks octets", affected)

    def _fault(self, place: Location, blob: BlobId) -> str:
        """Return the object that keeps a copy from being read; empty for a copy that is whole."""
        name = place.object_name
        if (name, blob) in self._bad_copies:
            return self._bad_copies[name, blob]
        return name if self._listed.get(name, 0) < place.offset + place.stored else ""
