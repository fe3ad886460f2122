"""`restante key …`: who can open the vault."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from restante.errors import UsageTrouble
from restante.options import ConfigOption, JsonOption, VaultOption
from restante.output import print_json, print_line, print_table, utc
from restante.secrets import new_passphrase
from restante.wiring import Wiring
from vault.keyring import SlotInfo, add_passphrase, add_recovery, export_key, list_slots, remove_slot, rotate

app = typer.Typer(help="Passphrases, recovery keys, key files.", no_args_is_help=True)
NEW = "RESTANTE_NEW_PASSPHRASE"

Slot = Annotated[str, typer.Argument(metavar="SLOT", help="Name of the slot.", show_default=False)]


@app.callback()
def key() -> None:
    """Say who can open the vault."""


@app.command()
def add(
    slot: Slot,
    recovery: Annotated[
        bool, typer.Option("--recovery", help="Add a recovery key instead, and print it once.")
    ] = False,
    config: ConfigOption = None,
    vault: VaultOption = None,
) -> None:
    """Add a passphrase ($RESTANTE_NEW_PASSPHRASE[_FILE], or typed), or a recovery key."""
    wiring = Wiring(config, vault)
    if recovery:
        text = add_recovery(wiring.store, wiring.secret, slot)
        print_line("Recovery key, shown this once:")
        print_line()
        print_line(f"    {text}")
        return
    secret = wiring.secret
    add_passphrase(wiring.store, secret, new_passphrase(None, NEW), slot)
    print_line(f'The passphrase in slot "{slot}" opens the vault from now on.')


@app.command("list")
def list_(config: ConfigOption = None, vault: VaultOption = None, as_json: JsonOption = False) -> None:
    """List the slots: each is one passphrase or recovery key."""
    slots = list_slots(Wiring(config, vault).store)
    if as_json:
        print_json([{"slot": slot.name, "kind": slot.kind, "created": _when(slot)} for slot in slots])
    else:
        print_table(("slot", "kind", "created"), [(slot.name, slot.kind, _when(slot)) for slot in slots])


def _when(slot: SlotInfo) -> str:
    return utc(datetime.fromisoformat(slot.created)) or ""


@app.command()
def remove(slot: Slot, config: ConfigOption = None, vault: VaultOption = None) -> None:
    """Remove a slot. The last one stays: a vault that nothing opens is lost."""
    wiring = Wiring(config, vault)
    remove_slot(wiring.store, wiring.secret, slot)
    print_line(f'Slot "{slot}" is gone. Who knew its secret may still hold keys: `restante key rotate` for new mail.')


@app.command("rotate")
def rotate_(config: ConfigOption = None, vault: VaultOption = None) -> None:
    """Draw a new content key for what comes; old mail stays readable. Needs a passphrase; prints a new recovery key."""
    wiring = Wiring(config, vault)
    secret = wiring.secret
    recovery_key = rotate(wiring.store, secret, new_passphrase(None, NEW))
    print_line("New mail is sealed to a new key from now on. The new recovery key, shown this once:")
    print_line()
    print_line(f"    {recovery_key}")
    print_line()
    print_line("Make new key files with `restante key export`: the old ones do not know the new key.")


@app.command()
def export(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where to write it; must not exist.", show_default=False)
    ],
    backup_only: Annotated[
        bool, typer.Option("--backup-only", help="Without the key that reads mail: for the host that runs backups.")
    ] = False,
    config: ConfigOption = None,
    vault: VaultOption = None,
) -> None:
    """Write a key file, which opens the vault without a passphrase."""
    wiring = Wiring(config, vault)
    if file.exists():
        raise UsageTrouble(f"{file} exists already", hint="name a new file, or remove that one first")
    data = export_key(wiring.store, wiring.secret, backup_only=backup_only)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(data)
    print_line(f"{file}: {'backs up, and cannot read mail' if backup_only else 'reads and writes everything'}.")
    print_line(f"Use it with RESTANTE_KEY_FILE={file} or `vault.key_file`.")
