"""Which snapshot is meant by `latest`, a date, a time or an id (docs/cli.md, `TIME` in `ACCOUNT@TIME`)."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import pytest

from tests.corpus import plain_mail
from tests.vault.archive import Archive
from vault.errors import SnapshotMissing
from vault.model import Status
from vault.vault import Vault

MADE: dict[str, tuple[str, Status]] = {
    "morning": ("2024-01-01T09:00:00Z", "complete"),
    "midnight": ("2024-01-02T00:00:00Z", "complete"),
    "last second": ("2024-01-02T23:59:59Z", "complete"),
    "half of it": ("2024-01-03T12:00:00Z", "partial"),
}
"""When anna's snapshots were made, and how they ended."""


class Kept(NamedTuple):
    """A vault, and the ids of anna's snapshots."""

    vault: Vault
    ids: dict[str, str]

    def found(self, when: str) -> str:
        """Say in words which snapshot is found."""
        snapshot = self.vault.find("anna", when)
        return next(name for name, one in self.ids.items() if one == snapshot.id)


@pytest.fixture(scope="module")
def kept() -> Kept:
    archive, ids = Archive(), dict[str, str]()
    for number, (name, (time, status)) in enumerate(MADE.items(), 1):
        archive.clock.moment = datetime.fromisoformat(time)
        archive.backup({number: plain_mail(number)}, "bert")
        ids[name] = archive.backup({number: plain_mail(number)}, status=status).id
    archive.backup({9: plain_mail(9)}, "carl", status="partial")
    return Kept(archive.open(), ids)


@pytest.mark.parametrize(
    "when, expected",
    [
        ("2024-01-01", "morning"),
        ("2024-01-02", "last second"),
        ("20240102", "last second"),
        ("2024-01-03", "last second"),
        ("2031-12-31", "last second"),
    ],
)
def test_a_bare_date_means_the_newest_complete_snapshot_by_the_end_of_that_day_in_utc(
    kept: Kept, when: str, expected: str
) -> None:
    assert kept.found(when) == expected


@pytest.mark.parametrize(
    "when, expected",
    [
        ("2024-01-01T09:00:00Z", "morning"),
        ("2024-01-01T23:59:59Z", "morning"),
        ("2024-01-02T00:00:00Z", "midnight"),
        ("2024-01-02T00:00", "midnight"),
        ("2024-01-02T00:59:59+01:00", "morning"),
        ("2024-01-01T19:00:00-05:00", "midnight"),
        ("2024-01-02T23:59:58Z", "midnight"),
        ("2024-01-02T23:59:59Z", "last second"),
        ("2024-01-03T12:00:00Z", "last second"),
    ],
)
def test_a_time_means_the_newest_complete_snapshot_not_after_it(kept: Kept, when: str, expected: str) -> None:
    assert kept.found(when) == expected


@pytest.mark.parametrize("when", ["2023-12-31", "2024-01-01T08:59:59Z"])
def test_where_nothing_is_as_old_as_that_the_oldest_is_named(kept: Kept, when: str) -> None:
    with pytest.raises(SnapshotMissing, match=f"anna is as old as {when}") as told:
        kept.vault.find("anna", when)
    assert kept.ids["morning"] in told.value.hint


@pytest.mark.parametrize("name", MADE)
def test_an_id_means_that_snapshot_even_where_it_is_partial_and_only_of_its_own_account(kept: Kept, name: str) -> None:
    assert kept.found(kept.ids[name]) == name
    with pytest.raises(SnapshotMissing, match=f"bert has no snapshot {kept.ids[name]}"):
        kept.vault.find("bert", kept.ids[name])


def test_latest_means_the_newest_complete_snapshot_and_a_partial_one_only_where_there_is_no_other(kept: Kept) -> None:
    assert kept.found("latest") == "last second"
    assert kept.vault.find("carl").status == "partial"
    with pytest.raises(SnapshotMissing, match="no complete snapshot of carl") as told:
        kept.vault.find("carl", "2031-12-31")
    assert "there is no complete one" in told.value.hint


@pytest.mark.parametrize("when", ["yesterday", "2024-13-01"])
def test_what_is_no_moment_is_told(kept: Kept, when: str) -> None:
    with pytest.raises(SnapshotMissing, match="neither a time nor a snapshot id") as told:
        kept.vault.find("anna", when)
    assert "latest" in told.value.hint
