"""`restante run`."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from restante.errors import Exit, UsageTrouble
from restante.logs import set_up_logs, tell_warnings
from restante.options import ConfigOption, VaultOption
from restante.stopping import hearing
from restante.wiring import Wiring
from vault.clock import SystemClock

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(
    probe: Annotated[
        bool, typer.Option("--probe", help="Only ask the service that runs here whether it is alive.")
    ] = False,
    config: ConfigOption = None,
    vault: VaultOption = None,
) -> None:
    """Run the jobs of the configuration at their times: the service."""
    wiring = Wiring(config, vault)
    if wiring.loaded is None:
        hint = "name one with -c, or begin with `restante config example`"
        raise UsageTrouble("the service needs a configuration", hint=hint)
    listen = wiring.loaded.config.service.listen
    if probe:
        raise typer.Exit(_probe(listen))
    raise typer.Exit(_serve(wiring, listen))


def _probe(listen: str | None) -> Exit:
    from restante.health import is_alive

    if listen is None:
        raise UsageTrouble("the service listens nowhere", hint="set service.listen to ask it anything")
    return Exit.COMPLETE if is_alive(listen) else Exit.FAILED


def _serve(wiring: Wiring, listen: str | None) -> Exit:
    from restante.health import answering
    from restante.service import Service, ready

    set_up_logs()
    tell_warnings(as_log=True)
    clock = SystemClock()
    service = Service(ready(wiring), clock)
    with hearing(SIGNALS, service.heard), answering(listen, service.state, clock):
        return service.run()
