"""Which name each Sieve script gets, decided without any server."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imap.sieve import Script
from restore.scripts import plan_scripts
from vault.model import SieveScript

NAMES = st.sampled_from(["a", "b", "a (restored)", "a (restored 2)"])
TEXTS = st.sampled_from([b"keep;", b"discard;", b"stop;"])


@given(
    kept=st.dictionaries(NAMES, TEXTS),
    there=st.dictionaries(NAMES, TEXTS),
    active=st.tuples(NAMES, NAMES),
    activate=st.booleans(),
)
def test_no_script_is_overwritten_all_are_there_afterwards_and_twice_is_once(
    kept: dict[str, bytes], there: dict[str, bytes], active: tuple[str, str], activate: bool
) -> None:
    scripts = [SieveScript(name, text, name == active[0]) for name, text in sorted(kept.items())]
    before = [Script(name, text, name == active[1]) for name, text in sorted(there.items())]
    planned = plan_scripts(scripts, before, activate=activate)
    after = dict(there)
    for one in planned:
        assert not (one.store and one.name in after)
        after.setdefault(one.name, one.octets)
        assert after[one.name] == one.octets
    assert set(kept.values()) <= set(after.values())
    assert activate or not any(one.activate for one in planned)
    turned_on = next((one.name for one in planned if one.activate), active[1])
    again = plan_scripts(scripts, [Script(n, t, n == turned_on) for n, t in sorted(after.items())], activate=activate)
    assert not any(one.store or one.activate for one in again)
