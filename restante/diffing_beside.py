"""What changed beside mail between two snapshots of one account: rights, annotations, Sieve scripts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from vault.model import SieveScript, Tree


class Changed(NamedTuple):
    """One right, annotation or script before and after; None where it was not there. `mailbox` may be the account."""

    what: Literal["rights", "annotation", "script"]
    mailbox: str
    name: str
    before: str | None
    after: str | None


def compare_beside(before: Tree, after: Tree) -> list[Changed]:
    """Compare two trees, mailboxes by the names that the server gave them; those that came or went are left out."""
    boxes = {box.raw: box for box in before.mailboxes}
    found: list[Changed] = []
    for box in after.mailboxes:
        old = boxes.get(box.raw)
        if old is not None:
            rights = _changes(dict(old.acl), dict(box.acl))
            found += [Changed("rights", box.name, *change) for change in rights]
            annotations = _changes(_texts(old.metadata), _texts(box.metadata))
            found += [Changed("annotation", box.name, *change) for change in annotations]
    whole = _changes(_texts(before.metadata or ()), _texts(after.metadata or ()))
    found += [Changed("annotation", "", *change) for change in whole]
    return [*found, *_scripts(before.scripts or (), after.scripts or ())]


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[tuple[str, str | None, str | None]]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield name, before.get(name), after.get(name)


def _texts(metadata: tuple[tuple[str, bytes], ...]) -> dict[str, str]:
    # Octets that are no text stay apart from others, which `replace` would make equal.
    return {entry: value.decode(errors="backslashreplace") for entry, value in metadata}


def _scripts(before: tuple[SieveScript, ...], after: tuple[SieveScript, ...]) -> Iterator[Changed]:
    old, new = {script.name: script for script in before}, {script.name: script for script in after}
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield Changed("script", "", name, _told(old.get(name)), _told(new.get(name)))


def _told(script: SieveScript | None) -> str | None:
    if script is None:
        return None
    return f"{len(script.text)} octets, {'active' if script.active else 'inactive'}"
