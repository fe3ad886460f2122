"""Giving Sieve scripts back by ManageSieve: never in place of another script, never active unless asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imap.errors import ImapError
from imap.model import Endpoint, Login
from imap.sieve import Script, open_sieve
from restore.model import Alteration, PlannedScript, RestoreFailure
from vault.model import SieveScript


@dataclass(frozen=True, slots=True)
class ScriptTarget:
    """One account's place for scripts, on a ManageSieve server; `activate` asks for the active one to be so again."""

    endpoint: Endpoint
    login: Login
    activate: bool = False
    timeout: float = 60

    def survey(self) -> list[Script]:
        """Return what is there. Raises ImapError."""
        with open_sieve(self.endpoint, self.login, timeout=self.timeout) as session:
            return session.scripts()

    def put(self, planned: Sequence[PlannedScript]) -> tuple[list[Alteration], list[RestoreFailure]]:
        """Store scripts as planned; say what became otherwise, and what could not be stored."""
        altered: list[Alteration] = []
        failed: list[RestoreFailure] = []
        for one in planned:
            place = f"Sieve script {one.kept}"
            try:
                self._store(one)
            except ImapError as error:
                failed.append(RestoreFailure(place, None, error.message))
            else:
                altered += [Alteration(place, None, one.reason)] if one.reason else []
        return altered, failed

    def _store(self, planned: PlannedScript) -> None:
        """Store one script on a connection of its own, so that one over which it breaks costs no other."""
        with open_sieve(self.endpoint, self.login, timeout=self.timeout) as session:
            if planned.store:
                session.put(planned.name, planned.octets)
            if planned.activate:
                session.activate(planned.name)


def plan_scripts(kept: Sequence[SieveScript], there: Sequence[Script], *, activate: bool) -> tuple[PlannedScript, ...]:
    """Give each script its name at the target: its own, or a new one where another script has that."""
    taken = {script.name: script.octets for script in there}
    running = next((script.name for script in there if script.active), "")
    planned = []
    for script in kept:
        name = _free_name(script, taken)
        store = name not in taken
        taken[name] = script.text
        turn_on = activate and script.active and running != name
        reasons = [f"its name becomes {name}: another script has its own"] if name != script.name else []
        reasons += [f"active in place of {running}"] if turn_on and running else []
        planned.append(PlannedScript(script.name, name, script.text, store, turn_on, ", ".join(reasons)))
    return tuple(planned)


def _free_name(script: SieveScript, taken: Mapping[str, bytes]) -> str:
    """Return the first name that is free, or holds the very same script."""
    name, number = script.name, 1
    while taken.get(name, script.text) != script.text:
        name = f"{script.name} (restored)" if number == 1 else f"{script.name} (restored {number})"
        number += 1
    return name


def describe_script(planned: PlannedScript) -> str:
    """Return what a dry run says of one script."""
    deeds = ["store" if planned.store else "is there already"]
    deeds += ["activate"] if planned.activate else []
    deeds += [planned.reason] if planned.reason else []
    return f"Sieve script {planned.kept} → {planned.name}: {', '.join(deeds)}"
