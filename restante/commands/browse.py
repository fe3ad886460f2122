"""`restante snapshots`, `ls`, `cat`, `diff`: looking into a vault."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from string import hexdigits
from typing import Annotated, Any

import typer

from restante.diffing import Difference, Moved, Placed, compare
from restante.diffing_beside import Changed, compare_beside
from restante.errors import UsageTrouble
from restante.headers import header_date, internal_date
from restante.options import ConfigOption, JsonOption, VaultOption
from restante.output import print_json, print_json_list, print_line, print_table, size, utc
from restante.when import wanted
from restante.wiring import Wiring
from restore.namespaces import apart
from restore.plan import source_levels
from vault.catalogue import readable
from vault.finding import holds_message, messages_beginning
from vault.ids import BlobId
from vault.model import CatalogueEntry, Flags, Mailbox, MessageRow, Snapshot, Tree
from vault.vault import Vault

SHORTEST_ID, SHOWN_ID, WHOLE_ID = 4, 12, 32
SIEVE = "sieve:"
BATCH = 20_000
"""Messages whose catalogue entries are in memory at a time."""
Place = Annotated[
    str,
    typer.Argument(
        metavar="ACCOUNT[@TIME]", show_default=False, help="TIME: latest, a date or time, or a snapshot id."
    ),
]


def snapshots(
    account: Annotated[
        str | None, typer.Argument(metavar="ACCOUNT", show_default=False, help="Only this account's.")
    ] = None,
    config: ConfigOption = None,
    vault: VaultOption = None,
    as_json: JsonOption = False,
) -> None:
    """List snapshots, oldest first."""
    from vault.tombstones import read_holds

    opened = Wiring(config, vault).vault_to_look
    found, holds = opened.snapshots(account), read_holds(opened.store, opened.ring)
    held = {s.id for s in found if holds.covers(s.account_id, s.id)}
    if as_json:
        print_json([_snapshot_document(s, held=s.id in held) for s in found])
        return
    if not found:
        print_line("No snapshots yet.")
        return
    columns = ("snapshot", "account", "time", "status", "mailboxes", "messages", "size")
    rows = [
        (s.id, s.account, s.time, f"{s.status}, held" if s.id in held else s.status, s.mailboxes,
         f"{s.messages:,}", size(s.octets))
        for s in found
    ]  # fmt: skip
    print_table(columns, rows, numeric=columns[4:])


def _snapshot_document(snapshot: Snapshot, *, held: bool) -> dict[str, Any]:
    return {
        "id": snapshot.id,
        "account": snapshot.account,
        "time": snapshot.time,
        "status": snapshot.status,
        "mailboxes": snapshot.mailboxes,
        "messages": snapshot.messages,
        "bytes": snapshot.octets,
        "held": held,
    }


def ls(
    place: Place,
    mailbox: Annotated[
        str | None, typer.Argument(metavar="MAILBOX", show_default=False, help="List its messages.")
    ] = None,
    config: ConfigOption = None,
    vault: VaultOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the mailboxes of a snapshot, or the messages of one mailbox."""
    opened = Wiring(config, vault).vault_to_look
    tree = opened.tree(find(opened, place))
    boxes = tree.mailboxes
    if mailbox is None:
        _print_mailboxes(tree, as_json=as_json)
        return
    box = next((b for b in boxes if b.name == mailbox), None)
    if box is None:
        hint = f"`restante ls {place}` lists the mailboxes"
        raise UsageTrouble(f"no mailbox {mailbox} in {place}", hint=hint)
    _print_messages(opened, box, as_json=as_json)


def find(vault: Vault, place: str) -> Snapshot:
    """Return the snapshot that `ACCOUNT[@TIME]` names. Raises SnapshotMissing."""
    return vault.find(*wanted(place))


def _print_mailboxes(tree: Tree, *, as_json: bool) -> None:
    boxes = tree.mailboxes
    if as_json:
        print_json([
            {"mailbox": b.name, "messages": b.messages, "bytes": b.octets, "special_use": b.special_use,
             "subscribed": b.subscribed, "namespace": b.namespace, "acl": dict(b.acl), "rights": b.rights,
             "metadata": {entry: value.decode(errors="replace") for entry, value in b.metadata}}
            for b in boxes
        ])  # fmt: skip
        return
    columns = ("mailbox", "messages", "size", "use", "subscribed")
    rows = [
        (
            b.name,
            f"{b.messages:,}",
            size(b.octets),
            (b.special_use or "").removeprefix("\\"),
            "yes" if b.subscribed else "",
        )
        for b in boxes
    ]
    print_table(columns, rows, numeric=("messages", "size"))
    for box in boxes:
        if box.acl:
            print_line(f"rights in {box.name}: {', '.join(f'{one} {rights}' for one, rights in box.acl)}")
        if box.metadata:
            print_line(f"annotations of {box.name}: {', '.join(entry for entry, _ in box.metadata)}")
    for script in tree.scripts or ():
        print_line(f"Sieve script {script.name}{' (active)' if script.active else ''}")


def _print_messages(vault: Vault, box: Mailbox, *, as_json: bool) -> None:
    documents = _documents(vault, box)
    if as_json:
        print_json_list(documents)
        return
    columns = ("uid", "id", "date", "from", "subject", "size", "flags")
    table = [
        (d["uid"], d["id"][:SHOWN_ID], d["date"] or d["internaldate"] or "", d["from"] or "", d["subject"] or "",
         size(d["size"]), " ".join(flag.removeprefix("\\") for flag in d["flags"]))
        for d in documents
    ]  # fmt: skip
    print_table(columns, table, numeric=("uid", "size"))
    if not vault.can_read_mail:
        print_line("\nThis key can't read mail: senders and subjects are not shown.")


def _documents(vault: Vault, box: Mailbox) -> Iterator[dict[str, Any]]:
    """Yield what is known of each message, with no more of the catalogue in memory than a batch needs."""
    rows, flags = vault.rows(box), dict(vault.flags(box))
    while batch := list(islice(rows, BATCH)):
        # Without the content key the catalogue stays shut; the table of rows does not.
        entries = vault.catalogue({row.blob for row in batch}) if vault.can_read_mail else {}
        yield from (_message_document(row, flags.get(row.uid, ()), entries.get(row.blob)) for row in batch)


def _message_document(row: MessageRow, flags: Flags, entry: CatalogueEntry | None) -> dict[str, Any]:
    return {
        "uid": row.uid,
        "id": row.blob.hex(),
        "date": utc(header_date(entry.date)) if entry else None,
        "internaldate": utc(internal_date(row.internaldate)),
        "from": readable(entry.sender) if entry else None,
        "subject": readable(entry.subject) if entry else None,
        "size": row.size,
        "flags": list(flags),
    }


def cat(
    place: Place,
    message: Annotated[
        str,
        typer.Argument(
            metavar="ID", show_default=False, help="A message's id, as `ls` shows it, or its beginning; sieve:NAME."
        ),
    ],
    config: ConfigOption = None,
    vault: VaultOption = None,
) -> None:
    """Write one message's, or Sieve script's, exact bytes to stdout."""
    opened = Wiring(config, vault).vault_to_look
    snapshot = find(opened, place)
    if message.startswith(SIEVE):
        octets = _script_of(opened, snapshot, message.removeprefix(SIEVE), place)
    else:
        octets = opened.read_message(_message_of(opened, snapshot, message.lower(), place))
    sys.stdout.flush()
    sys.stdout.buffer.write(octets)
    sys.stdout.buffer.flush()


def _script_of(vault: Vault, snapshot: Snapshot, name: str, place: str) -> bytes:
    for script in vault.tree(snapshot).scripts or ():
        if script.name == name:
            return script.text
    raise UsageTrouble(f"no Sieve script {name} in {place}", hint=f"`restante ls {place}` lists the scripts")


def _message_of(vault: Vault, snapshot: Snapshot, start: str, place: str) -> BlobId:
    if len(start) < SHORTEST_ID:
        raise UsageTrouble(f"{start} is too short for a message id", hint=f"give at least {SHORTEST_ID} digits of it")
    found = _found(vault, snapshot, start) if set(start) <= set(hexdigits) else set()
    if not found:
        raise UsageTrouble(f"no message {start} in {place}", hint=f"`restante ls {place} MAILBOX` lists messages")
    if len(found) > 1:
        raise UsageTrouble(f"{len(found)} messages begin with {start}", hint="give more digits of the id")
    return found.pop()


def _found(vault: Vault, snapshot: Snapshot, start: str) -> set[BlobId]:
    if len(start) != WHOLE_ID:
        return messages_beginning(vault, snapshot, start)
    whole = BlobId(bytes.fromhex(start))
    return {whole} if holds_message(vault, snapshot, whole) else set()


def diff(
    before: Annotated[str, typer.Argument(metavar="ACCOUNT@TIME", show_default=False, help="The earlier snapshot.")],
    after: Annotated[str, typer.Argument(metavar="ACCOUNT@TIME", show_default=False, help="The later one.")],
    config: ConfigOption = None,
    vault: VaultOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what came, went, moved and changed flags between two snapshots."""
    opened = Wiring(config, vault).vault_to_look
    first, second = find(opened, before), find(opened, after)
    found = compare(*_placed(opened, first, second))
    # On another account's server, rights and annotations are another's by nature.
    same = first.account_id == second.account_id
    beside = compare_beside(opened.tree(first), opened.tree(second)) if same else []
    if as_json:
        document = _difference_document(first, second, found)
        print_json({**document, "beside": [changed._asdict() for changed in beside]})
    else:
        _print_difference(found, beside)


def _placed(vault: Vault, *snapshots: Snapshot) -> list[dict[str, Iterator[Placed]]]:
    """Return the messages of each by mailbox; named by levels where the servers' separators or prefixes differ."""
    trees = [vault.tree(snapshot) for snapshot in snapshots]
    ways = {(tree.prefix, box.delimiter) for tree in trees for box in tree.mailboxes if box.name != "INBOX"}

    def name(tree: Tree, box: Mailbox) -> str:
        if len(ways) <= 1:
            return box.name
        if not box.namespace:
            return "/".join(source_levels(box, tree.prefix))
        own = {source_levels(other, tree.prefix)[0] for other in tree.mailboxes if not other.namespace}
        return "/".join(apart(box, own))

    return [
        {name(tree, box): _messages(vault, box, name(tree, box)) for box in tree.mailboxes if box.selectable}
        for tree in trees
    ]


def _messages(vault: Vault, box: Mailbox, name: str) -> Iterator[Placed]:
    for row, (_uid, flags) in zip(vault.rows(box), vault.flags(box), strict=True):
        yield Placed(name, row.uid, row.blob, flags)


def _difference_document(before: Snapshot, after: Snapshot, found: Difference) -> dict[str, Any]:
    def one(placed: Placed) -> dict[str, Any]:
        return {"mailbox": placed.mailbox, "uid": placed.uid, "id": placed.blob.hex()}

    def pair(moved: Moved) -> dict[str, Any]:
        return {"id": moved.after.blob.hex(), "from": one(moved.before), "to": one(moved.after)}

    def flags(moved: Moved) -> dict[str, Any]:
        return {**one(moved.after), "before": list(moved.before.flags), "after": list(moved.after.flags)}

    return {
        "before": before.id,
        "after": after.id,
        "mailboxes": {"came": found.mailboxes_came, "went": found.mailboxes_went},
        "came": [one(p) for p in found.came],
        "went": [one(p) for p in found.went],
        "moved": [pair(m) for m in found.moved],
        "flags": [flags(m) for m in found.flags],
    }


def _print_difference(found: Difference, beside: list[Changed]) -> None:
    rows: list[tuple[str, str, str, str]] = []
    rows += [("mailbox came", name, "", "") for name in found.mailboxes_came]
    rows += [("mailbox went", name, "", "") for name in found.mailboxes_went]
    rows += [("came", p.mailbox, str(p.uid), p.blob.hex()) for p in found.came]
    rows += [("went", p.mailbox, str(p.uid), p.blob.hex()) for p in found.went]
    rows += [
        ("moved", f"{m.before.mailbox} → {m.after.mailbox}", str(m.after.uid), m.after.blob.hex()) for m in found.moved
    ]
    rows += [("flags", m.after.mailbox, str(m.after.uid), _flag_change(m)) for m in found.flags]
    rows += [(c.what, c.mailbox, "", f"{c.name}: {c.before or 'none'} → {c.after or 'none'}") for c in beside]
    if rows:
        print_table(("what", "mailbox", "uid", "id"), rows, numeric=("uid",))
    else:
        print_line("Nothing differs.")


def _flag_change(moved: Moved) -> str:
    before, after = set(moved.before.flags), set(moved.after.flags)
    return " ".join([*(f"+{f}" for f in sorted(after - before)), *(f"-{f}" for f in sorted(before - after))])
