"""Options that many commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", show_default=False,
        help="Configuration; else $RESTANTE_CONFIG, ./restante.yaml, /etc/restante/config.yaml.",
    ),
]  # fmt: skip
VaultOption = Annotated[
    str | None,
    typer.Option(
        "--vault", metavar="URL", envvar="RESTANTE_VAULT", show_default=False,
        help="s3://bucket/prefix or file:///directory; else `vault.url` of the configuration.",
    ),
]  # fmt: skip
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
