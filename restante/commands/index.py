"""`restante index …`."""

from __future__ import annotations

import typer

from restante.options import ConfigOption, JsonOption, VaultOption
from restante.output import count, print_json, print_line
from restante.wiring import Wiring
from vault.clock import SystemClock

app = typer.Typer(help="The vault's index.", no_args_is_help=True)


@app.callback()
def index() -> None:
    """Look after the vault's index."""


@app.command()
def rebuild(config: ConfigOption = None, vault: VaultOption = None, as_json: JsonOption = False) -> None:
    """Write a lost index anew, from what the packs say of themselves."""
    from vault.rebuild import rebuild_index

    wiring = Wiring(config, vault)
    packs = rebuild_index(wiring.store, wiring.secret, SystemClock())
    if as_json:
        print_json({"status": "complete", "packs": packs})
    else:
        print_line(f"The index is written anew, from {count(packs, 'pack')}.")
