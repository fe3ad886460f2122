"""Links: messages recognised by the server's own id (EMAILID, X-GM-MSGID, X-GUID), so that a move costs no download."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from functools import partial

from imap.model import Facts
from imap.pop import Numbering
from vault.filler import Filler
from vault.ids import AccountId, BlobId
from vault.model import MessageRow, Tree
from vault.table import message_table
from vault.vault import Vault

_BATCH = 10_000


def numbering(vault: Vault, account: AccountId, previous: Tree | None) -> Numbering:
    """Return the UIDs that an account's messages have by their UIDLs, for a server that knows no others."""
    box = next(iter(previous.mailboxes), None) if previous else None
    known = {row.server_id: row.uid for row in vault.rows(box) if row.server_id} if box else {}
    return Numbering(known, box.uidnext if box else 1, partial(vault.ring.server_id_hash, account, "UIDL"))


class Links:
    """What one account's messages are called by their server. Reads the last snapshot only when first asked."""

    def __init__(self, vault: Vault, writer: Filler, account: AccountId, kind: str, previous: Tree | None) -> None:
        self._vault = vault
        self._writer = writer
        self._account = account
        self._kind = kind
        self._previous = previous
        self._filed = previous is not None
        self._lock = threading.Lock()
        self._claims = threading.Condition()
        self._claimed: set[bytes] = set()
        self._fresh: dict[bytes, tuple[BlobId, int]] = {}

    def keyed(self, fact: Facts) -> Facts:
        """Return the same with the 8 octets that stand for the server's id of the message in its place.

        All other methods take facts like that.
        """
        if not fact.server_id:
            return fact
        key = self._vault.ring.server_id_hash(self._account, self._kind, fact.server_id)
        return fact._replace(server_id=key)

    def find(self, fact: Facts) -> BlobId | None:
        """Return the blob of a message that the vault holds already: same server id, same size."""
        key = fact.server_id
        if not key:
            return None
        self._learn_previous()
        found = self._fresh.get(key) or (self._vault.index.linked(self._account, key) if self._filed else None)
        if found is None or found[1] != fact.size or not self._writer.holds(found[0]):
            return None
        return found[0]

    def claim(self, facts: Sequence[Facts], seconds: float) -> list[Facts]:
        """Return those of the messages that no other connection is reading now, for the caller to read and `release`.

        A message may be in several mailboxes (Gmail's labels), and those are read side by side. Where others have all
        of them, waits so long at most, and may return none.
        """
        with self._claims:
            mine = self._unclaimed(facts)
            if not mine:
                self._claims.wait(seconds)
                mine = self._unclaimed(facts)
            return mine

    def _unclaimed(self, facts: Sequence[Facts]) -> list[Facts]:
        mine = [fact for fact in facts if fact.server_id not in self._claimed]
        self._claimed.update(fact.server_id for fact in mine if fact.server_id)
        return mine

    def release(self, facts: Sequence[Facts]) -> None:
        """Give claimed messages up: they are learned, or somebody else may try."""
        with self._claims:
            self._claimed.difference_update(fact.server_id for fact in facts)
            self._claims.notify_all()

    def learn(self, row: MessageRow) -> None:
        """Note a message just stored: it may be in another mailbox too."""
        if not row.server_id:
            return
        with self._lock:
            self._fresh[row.server_id] = (row.blob, row.size)
            if len(self._fresh) >= _BATCH:
                self._keep_fresh(())

    def settle(self, pages: Sequence[BlobId]) -> None:
        """Note that all messages of these pages are learned, which spares the next run reading them for that."""
        with self._lock:
            if self._previous is None:  # else nothing was new, and what the last snapshot holds was never learned
                self._keep_fresh(pages)

    def _keep_fresh(self, pages: Sequence[BlobId]) -> None:
        fresh, self._fresh, self._filed = self._fresh, {}, True
        self._vault.index.link(self._account, ((key, *known) for key, known in fresh.items()), pages)

    def _learn_previous(self) -> None:
        with self._lock:
            previous, self._previous = self._previous, None
            for mailbox in previous.mailboxes if previous else ():
                self._learn_mailbox(mailbox.rows)

    def _learn_mailbox(self, root: bytes | None) -> None:
        index = self._vault.index
        for page, rows in message_table(self._vault.read_meta, root).pages():
            if not index.is_linked(self._account, page):
                index.link(self._account, _known(rows()), [page])


def _known(rows: Iterable[MessageRow]) -> Iterable[tuple[bytes, BlobId, int]]:
    return ((row.server_id, row.blob, row.size) for row in rows if row.server_id)
