"""`restante config …`."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import typer

from restante.config import Config
from restante.errors import ConfigFaults, Exit, UsageTrouble
from restante.example import example_config
from restante.loading import PLACES, find_config, load_config
from restante.options import ConfigOption, JsonOption
from restante.output import count, print_json, print_line

app = typer.Typer(help="The configuration.", no_args_is_help=True)


@app.callback()
def config() -> None:
    """Look after the configuration."""


@app.command()
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Validate a configuration; tell all that is wrong with it, each with its line."""
    file = find_config(config)
    if file is None:
        places = " or ".join(map(str, PLACES))
        hint = "name one with -c; `restante config example` prints one to start from"
        raise UsageTrouble(f"no configuration: neither -c, nor RESTANTE_CONFIG, nor {places}", hint=hint)
    try:
        loaded = load_config(file)
    except ConfigFaults as trouble:
        if not as_json:
            raise
        faults = [fault._asdict() for fault in trouble.faults]
        print_json({"status": "failed", "file": str(file), "faults": faults})
        raise typer.Exit(Exit.USAGE) from None
    if as_json:
        print_json({"status": "complete", "file": str(file), "faults": []})
        return
    config_ = loaded.config
    accounts, jobs = count(len(config_.accounts), "account"), count(len(config_.jobs), "job")
    servers = [count(len(config_.servers), "server")] if config_.servers else []
    print_line(f"{file} is sound: {', '.join([accounts, *servers, jobs])}.")


@app.command()
def schema() -> None:
    """Print the configuration's JSON Schema, for editors."""
    document = msgspec.json.schema(Config, schema_hook=lambda _path: {"type": "string", "format": "path"})
    sections = json.loads(json.dumps(document["$defs"]), object_hook=_as_written)
    root = sections.pop("Config")
    print_json({"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": sections, **root})


def _as_written(schema: dict[str, Any]) -> dict[str, Any]:
    """Call text what has a pattern, whatever it is read as: a span of time is no duration of ISO 8601.

    msgspec lets neither type nor format be declared otherwise.
    """
    if not isinstance(schema.get("pattern"), str):
        return schema
    return {key: value for key, value in schema.items() if key != "format"} | {"type": "string"}


@app.command()
def example() -> None:
    """Print a configuration to start from."""
    typer.echo(example_config(), nl=False)
