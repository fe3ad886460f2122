"""Giving an IMAP target what belongs to mailboxes beside mail."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from imap.belongings import Belongings
from imap.session import Session

Kept = Literal["acl", "metadata", "server metadata"]


def keeping(capabilities: Collection[str]) -> frozenset[Kept]:
    """Return what a server can keep, by its capabilities (RFC 4314, RFC 5464)."""
    kept: dict[str, tuple[Kept, ...]] = {
        "ACL": ("acl",),
        "METADATA": ("metadata", "server metadata"),
        "METADATA-SERVER": ("server metadata",),
    }
    return frozenset(kind for capability in capabilities for kind in kept.get(capability, ()))


def give_metadata(session: Session, raw: bytes, wanted: Sequence[tuple[str, bytes]]) -> list[str]:
    """Set the annotations that a mailbox lacks; say which it has otherwise, and keeps, and which the server refused."""
    if not wanted:
        return []
    there = dict(session.belongings([raw]).get(raw, Belongings()).metadata or ())
    other = [f"the annotation {entry} is another there, and stays" for entry, value in wanted
             if there.get(entry, value) != value]  # fmt: skip
    refused = session.set_metadata(raw, [(entry, value) for entry, value in wanted if entry not in there])
    return other + [f"its annotation {entry} is refused: {words}" for entry, words in refused]


def give_rights(session: Session, raw: bytes, wanted: Sequence[tuple[str, str]]) -> list[str]:
    """Give others their rights, where they have not got them; say whom the server refused."""
    there = dict(session.belongings([raw]).get(raw, Belongings()).acl or ()) if wanted else {}
    asked = [(one, rights, session.set_rights(raw, one, rights)) for one, rights in wanted
             if set(there.get(one, "")) != set(rights)]  # fmt: skip
    return [f"the rights of {one} ({rights}) are refused: {words}" for one, rights, words in asked if words is not None]
