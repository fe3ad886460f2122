"""`restante demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restante.errors import Exit, UsageTrouble


def demo(
    directory: Annotated[
        Path, typer.Option("--vault-dir", metavar="DIR", help="Where the demo leaves its vault.")
    ] = Path("demo-vault"),
) -> None:
    """Show the whole way on a mail server of its own: backup, loss, restore, comparison."""
    # Imported here: the demo's mail server is for the demo alone, and need not be installed elsewhere.
    try:
        from restante.demo import run_demo
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "pymap":
            raise
        hint = "in a copy of Restante's source run `make demo`, or `pip install '.[demo]'`"
        raise UsageTrouble("the demo's mail server, pymap, is not installed", hint=hint) from None

    raise typer.Exit(Exit.COMPLETE if run_demo(directory) else Exit.FAILED)
