"""Every parser of what a mail server sends: in whatever form it is said it reads the same, and nothing breaks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.grammar import CONVERSATIONS, SPOILERS, spoilt
from tests.fuzz.parsers import SERVER

SHOWN: dict[str, Callable[[Any], object]] = {
    "look in one": lambda found: [
        (m.raw, m.status.messages, m.status.uidnext, m.status.uidvalidity, m.status.highestmodseq) for m in found[0]
    ],
    "open": lambda found: (found.exists, found.uidvalidity, found.uidnext, found.highestmodseq),
    "append many": lambda found: [one.uid for one in found],
    "login": lambda found: found,
    "quotas": lambda found: [(one.root, one.used, one.limit) for one in found],
    "belongings": lambda found: (list(found[b"INBOX"].acl), list(found[b"INBOX"].metadata)),
}
"""What of a parser's value a conversation tells; all of it where nothing is said here."""

patient = [HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.mark.parametrize("name", CONVERSATIONS)
@settings(suppress_health_check=patient)
@given(data=st.data())
def test_an_answer_reads_the_same_in_any_form_and_among_any_news(name: str, data: st.DataObject) -> None:
    told, octets = data.draw(CONVERSATIONS[name])
    shown: Callable[[Any], object] = SHOWN.get(name, lambda found: found)
    assert shown(SERVER[name].read(octets)) == told


@pytest.mark.parametrize("name", CONVERSATIONS)
@settings(suppress_health_check=patient)
@given(data=st.data())
def test_a_spoilt_answer_is_read_or_refused_in_our_own_words(name: str, data: st.DataObject) -> None:
    SERVER[name].survives(data.draw(spoilt(CONVERSATIONS[name])))


@pytest.mark.parametrize("name", SERVER)
@given(st.one_of(st.binary(), st.lists(st.sampled_from(SPOILERS)).map(b"".join)))
def test_nonsense_is_read_or_refused_in_our_own_words(name: str, octets: bytes) -> None:
    SERVER[name].survives(octets)


@pytest.mark.parametrize("name", SERVER)
@pytest.mark.parametrize("spoiler", SPOILERS, ids=range(len(SPOILERS)))
def test_each_nonsense_we_know_of_is_read_or_refused(name: str, spoiler: bytes) -> None:
    SERVER[name].survives(spoiler)
    SERVER[name].survives(spoiler + b"R1 OK\r\nR2 OK\r\nR3 OK\r\n")
