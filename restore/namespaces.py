"""Keeping mailboxes of other users and shared ones apart from an account's own (RFC 2342): pure functions."""

from __future__ import annotations

from collections.abc import Collection

from restore.model import Levels
from vault.model import Mailbox, Tree

LABELS = {"other": "Other Users", "shared": "Shared"}
"""The first level of such a mailbox's place."""
KINDS = {"other": "other users", "shared": "shared mailboxes"}


def split_namespaces(tree: Tree) -> tuple[list[Mailbox], list[Mailbox]]:
    """Part a tree into the account's own mailboxes and the rest."""
    return [m for m in tree.mailboxes if not m.namespace], [m for m in tree.mailboxes if m.namespace]


def apart(mailbox: Mailbox, taken: Collection[str]) -> Levels:
    """Return the place of a mailbox that is not the account's own; its first level is none that is `taken`."""
    label = LABELS[mailbox.namespace]
    folded = {name.casefold() for name in taken}
    while label.casefold() in folded:
        label += "_"
    name = mailbox.name.removeprefix(mailbox.namespace_prefix) or mailbox.name
    levels = name.split(mailbox.delimiter) if mailbox.delimiter else [name]
    return (label, *(level for level in levels if level))
