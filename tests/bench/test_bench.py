"""The bench, run on next to nothing, so that it never rots. Nothing here looks at times."""

from __future__ import annotations

import json
import os
from itertools import islice
from pathlib import Path

import pytest

from bench import synthetic
from bench.field import left_out
from bench.generate import PROFILES, giant, office, swarm
from bench.maildir import fill
from bench.plots import draw
from bench.rows import APPEND, BY_THE_BOOK, DRAIN, MIRRORED, OTHERS, OURS, PREPARE, Figures, Results, Row
from bench.run import markdown, run
from bench.scenarios import CHANGED, TINY
from bench.targets import targets
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


def _measured(part: str) -> dict[tuple[str, str], dict[str, Figures]]:
    _wanted()
    results = run(new_directory("bench"), TINY, (part,))
    found = {(row.scenario, row.step): row.by for row in results.rows}
    assert len(found) == len(results.rows)
    for (_, step), by in found.items():
        assert by[OURS].wall > 0
        if "backup" in step or "changed" in step or "new" in step:
            assert by[OURS].octets
            assert by[OURS].puts == by[OURS].objects
            assert by[OURS].round_trips
    assert Results.read(json.dumps(results.plain())).rows == results.rows
    assert "**no**" in markdown(results) or all(target.met for target in results.targets)
    return found


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_contestant_and_ceiling_takes_part_in_an_office_of_next_to_nothing(tmp_path: Path) -> None:
    found = _measured("office")
    there = set(OTHERS) - left_out().keys()
    assert {BY_THE_BOOK, "restic auto", "restic max", "plain loop"} <= there
    first, restored = found["office", "first backup"], found["office", "full restore"]
    assert first.keys() == there | {OURS, DRAIN, PREPARE}
    assert restored.keys() == there & {*MIRRORED} | {OURS, APPEND}
    assert first["plain loop"].objects == TINY.mails
    pictures = draw(Results({}, [Row("office", step, by) for (_, step), by in found.items()]), tmp_path)
    assert [file.name for file in pictures] == ["time.png", "stored.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") and file.stat().st_size < 60_000 for file in pictures)
    assert {"nothing new", CHANGED, "full restore to Maildir"} <= {step for _, step in found}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_over_a_longer_way_what_goes_by_is_counted() -> None:
    found = _measured("latency")
    store = found["path", "first backup, S3 at 100 ms"]
    for by in store.values():
        assert by.octets
        assert by.store
        assert by.store.requests > 3
        assert by.store.sent > by.octets
    mail = found["path", "first backup, IMAP at 100 ms"]
    for by in mail.values():
        assert by.mail
        assert by.mail.turns >= by.mail.connections > 0
        assert by.mail.received > 1_000_000
    warm, empty = (found["path", f"one message, {how}, S3 at 100 ms"][OURS] for how in ("warm cache", "empty machine"))
    assert warm.store
    assert empty.store
    assert warm.store.received < empty.store.received


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("part, steps", [("mailbox", 10), ("memory", 3), ("million", 7), ("many", 2), ("tls", 3)])
def test_a_part_of_next_to_nothing_measures_every_step(part: str, steps: int) -> None:
    assert len(_measured(part)) == steps


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_gives_each_user_mail_and_the_same_for_the_same_seed(profile: str) -> None:
    users = ("ann", "bob")
    first = list(PROFILES[profile](7, users, 4))
    assert first == list(PROFILES[profile](7, users, 4))
    assert len(first) == 4
    assert {mail.user for mail in first} == {*users}


def test_a_target_counts_as_missed_only_above_its_limit() -> None:
    ours, theirs = Figures(wall=2.5, cpu=4, peak=100), Figures(wall=10, cpu=4, peak=100)
    found = {one.promise: one for one in targets([Row("office", "first backup", {OURS: ours, BY_THE_BOOK: theirs})])}
    wall = found["office, first backup: wall, share of by the book"]
    cpu = found["office, first backup: cpu, share of by the book"]
    assert (wall.found, wall.met) == (0.25, True)
    assert (cpu.found, cpu.met) == (1, False)
    assert targets([Row("office", "first backup", {BY_THE_BOOK: theirs})]) == []


@pytest.mark.slow
def test_a_made_up_index_is_measured_at_every_step(capfd: pytest.CaptureFixture[str]) -> None:
    assert synthetic.main(["5000"]) == 0
    told = capfd.readouterr().out
    assert all(f"| {step} |" in told for step in synthetic.STEPS)
