"""Which name each Sieve script gets, decided without any server; and what becomes of those that a server refuses."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from imap.model import Endpoint, Login
from imap.sieve import Script
from restore.scripts import ScriptTarget, plan_scripts
from tests.servers import DovecotServer
from tests.servers.sieveful import dovecot_with_sieve
from vault.model import SieveScript

NAMES = st.sampled_from(["a", "b", "a (restored)", "a (restored 2)"])
TEXTS = st.sampled_from([b"keep;", b"keep;\r\n", b"discard;", b"stop;"])


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


def test_a_script_that_the_server_refuses_is_named_and_the_rest_comes(
    start_dovecot: Callable[..., DovecotServer],
) -> None:
    place = dovecot_with_sieve(start_dovecot)
    user = place.server.new_user()
    target = ScriptTarget(Endpoint("127.0.0.1", place.port, user.name, "off"), Login(lambda: user.password))
    kept = [SieveScript("a", b"keep; # no end"), SieveScript("b", b"this is no sieve"), SieveScript("c", b"stop;")]
    altered, failed = target.put(plan_scripts(kept, target.survey(), activate=False))
    assert altered == []
    assert [one.mailbox for one in failed] == ["Sieve script b"]
    with place.open(user) as sieve:
        assert sieve.scripts() == {"a": b"keep; # no end", "c": b"stop;"}
    again = plan_scripts(kept, target.survey(), activate=False)
    assert [(one.name, one.store) for one in again] == [("a", False), ("b", True), ("c", False)]
