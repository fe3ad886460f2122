"""Options that many commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restante.errors import UsageTrouble

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


def share(sample: str | None) -> float:
    """Return what `--sample N%` means, 1.0 where it is not given. Raises UsageTrouble."""
    if sample is None:
        return 1.0
    try:
        percent = float(sample.removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not 0 < percent <= 100:
        raise UsageTrouble(f"{sample} is not a share", hint="write a percentage above 0, e.g. --sample 5%")
    return percent / 100
