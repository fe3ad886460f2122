"""`restante demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restante.errors import Exit


def demo(
    directory: Annotated[
        Path, typer.Option("--vault-dir", metavar="DIR", help="Where the demo leaves its vault.")
    ] = Path("demo-vault"),
) -> None:
    """Show the whole way on a mail server of its own: backup, loss, restore, comparison."""
    # Imported here: the demo's mail server is for the demo alone, and need not be installed elsewhere.
    from restante.demo import run_demo

    raise typer.Exit(Exit.COMPLETE if run_demo(directory) else Exit.FAILED)
