"""The bench, run on next to nothing, so that it never rots. Nothing here looks at times."""

from __future__ import annotations

import json
import os
from itertools import islice
from pathlib import Path

import pytest

from bench.field import left_out
from bench.generate import giant, office, swarm
from bench.maildir import fill
from bench.rows import BY_THE_BOOK, MIRRORED, OTHERS, OURS
from bench.run import markdown, run
from bench.scenarios import TINY
from tests.servers.process import ServerMissing, find_program, new_directory


def test_the_same_seed_makes_the_same_mail() -> None:
    users = ("ann", "bob")
    first, second = list(office(7, users, 50)), list(office(7, users, 50))
    assert first == second
    assert first != list(office(8, users, 50))
    assert list(swarm(7, "ann", "INBOX", 9)) == list(swarm(7, "ann", "INBOX", 9))


def test_generated_mail_has_crlf_and_no_line_that_smtp_would_refuse() -> None:
    for mail in islice(office(3, ("ann", "bob", "cy"), 200), 200):
        assert b"\n" not in mail.octets.replace(b"\r\n", b"")
        assert max(map(len, mail.octets.split(b"\r\n"))) < 998


def test_a_giant_is_about_as_large_as_asked() -> None:
    assert 0.95 < len(giant(1, "ann", "INBOX", 1_000_000).octets) / 1_000_000 < 1.05


def test_what_a_maildir_holds_adds_up_to_what_was_delivered(tmp_path: Path) -> None:
    mails = list(office(5, ("ann",), 30))
    assert fill({"ann": tmp_path}, mails) == (30, sum(len(mail.octets) for mail in mails))
    kept = [path.read_bytes().replace(b"\n", b"\r\n") for path in tmp_path.glob("**/cur/*")]
    assert sorted(kept) == sorted(mail.octets for mail in mails)


def _wanted() -> None:
    if "bench" in os.environ.get("RESTANTE_TEST_WITHOUT", "").replace(",", " ").split():
        pytest.skip("bench is left out by RESTANTE_TEST_WITHOUT")
    if not (find_program("restic") and find_program("mbsync")):
        raise ServerMissing("bench")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_bench_of_next_to_nothing_measures_every_step_of_every_contestant() -> None:
    _wanted()
    root = new_directory("bench")
    results = run(root, TINY, ("office", "mailbox", "memory"))

    steps = [(row.scenario, row.step) for row in results.rows]
    assert len(steps) == len(set(steps)) == 15
    assert all(OURS in row.by and row.by[OURS].wall > 0 for row in results.rows)
    backups = [row.by[OURS] for row in results.rows if not row.step.startswith("full restore")]
    assert all(one.octets and one.objects and one.puts == one.objects and one.round_trips for one in backups)
    by_step = {(row.scenario, row.step): row.by for row in results.rows}
    there = set(OTHERS) - left_out().keys()
    assert {BY_THE_BOOK, "restic auto", "restic max", "plain loop"} <= there
    assert by_step["office", "first backup"].keys() - {OURS} == there
    assert by_step["office", "full restore"].keys() - {OURS} == there & {*MIRRORED}
    plain = by_step["office", "first backup"]["plain loop"]
    assert plain.objects == TINY.mails
    assert json.loads(json.dumps(results.plain()))["rows"]
    assert "**no**" in markdown(results) or all(target.met for target in results.targets)
