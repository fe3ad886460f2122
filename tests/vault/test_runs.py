"""Run records: in what order they come back."""

from __future__ import annotations

from pathlib import Path

from tests.backup.site import Site
from vault.records import RunRecord, write_run

MOMENT = "2026-11-23T10:00:00Z"


def test_the_records_of_one_second_come_newest_first(tmp_path: Path) -> None:
    site = Site(tmp_path)
    vault = site.open()
    for number in range(12):
        write_run(site.store, vault.ring, RunRecord(started=MOMENT, finished=MOMENT, accounts=(), job=str(number)))
    earlier = MOMENT.replace("10:", "09:")
    write_run(site.store, vault.ring, RunRecord(started=earlier, finished=earlier, accounts=(), job="before"))
    for opened in (vault, site.open(), vault):
        assert [run.job for run in opened.runs()] == [*map(str, range(11, -1, -1)), "before"]
    vault.close()
