"""`restante init`."""

from __future__ import annotations

from restante.locking import UNPROVEN, prove, told_of
from restante.options import ConfigOption, JsonOption, VaultOption
from restante.output import print_json, print_line, say
from restante.secrets import new_passphrase
from restante.wiring import Wiring
from vault.clock import SystemClock
from vault.keyring import init_vault


def init(config: ConfigOption = None, vault: VaultOption = None, as_json: JsonOption = False) -> None:
    """Make a vault, with a passphrase to open it, and print its recovery key once."""
    wiring = Wiring(config, vault)
    store = wiring.store
    proven = prove(wiring, SystemClock())
    passphrase = new_passphrase(wiring.loaded, "RESTANTE_PASSPHRASE")
    recovery_key = init_vault(store, passphrase)
    if as_json:
        print_json({"vault": store.url, "recovery_key": recovery_key, "protection": told_of(wiring), "proven": proven})
        return
    print_line(f"A new vault is ready at {store.url}.")
    for line in told_of(wiring):
        print_line(line)
    if not proven:
        say(f"note: {UNPROVEN}")
    print_line()
    print_line("Recovery key: print it, and keep it away from the mail server and from this machine.")
    print_line("It is shown this once. With it, or with the passphrase, the vault alone gives everything back.")
    print_line()
    print_line(f"    {recovery_key}")
