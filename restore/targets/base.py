"""The contract of a target: a place that takes mail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

from restore.model import Alteration, Placed, PlannedMailbox, ReadBack, Replay, Survey


class Target(Protocol):
    """Takes messages. Its methods may be called from as many threads as `connections` says."""

    @property
    def url(self) -> str:
        """The target's address, without secrets."""

    @property
    def connections(self) -> int:
        """How many threads may append at once."""

    @property
    def known_by(self) -> Literal["blob", "fingerprint"]:
        """What `present` counts: the blob ids of messages, hex encoded, or their fingerprints."""

    def survey(self) -> Survey:
        """Say what mailboxes there are."""

    def prepare(self, planned: PlannedMailbox) -> list[Alteration]:
        """Make and subscribe a mailbox where need be; say what could not be as planned.

        Raises MailboxRefused where the target won't have the mailbox.
        """

    def annotate_server(self, metadata: Sequence[tuple[str, bytes]]) -> list[Alteration]:
        """Set annotations of the whole server; say which could not be. Only for targets whose survey says they can."""

    def present(self, planned: PlannedMailbox) -> Counter[bytes]:
        """Count what a prepared mailbox holds already."""

    def append(self, planned: PlannedMailbox, batch: Sequence[Replay]) -> list[Placed]:
        """Store messages, their octets exactly as given; one result for each, in order.

        If the process dies, each is stored whole or not at all. Raises ImapError or Trouble when nothing more will go.
        """

    def read_back(self, planned: PlannedMailbox) -> Iterator[ReadBack]:
        """Yield everything that a mailbox holds now, to compare."""

    def close(self) -> None:
        """Let go of connections."""
