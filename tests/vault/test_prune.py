"""Pruning: what goes, when, and what never does. Keys at hand: the backup-only one, except for reading back."""

from __future__ import annotations

import os
import shutil
from base64 import b64decode
from contextlib import suppress
from pathlib import Path

import pytest

from backup.prune import run_prune
from backup.retention import Policy
from tests.corpus import base64_lines, mail_with, octets, plain_mail
from tests.faults import Dying, Fault, Killed, ShortListing, Unavailable, Watched, flip
from tests.reader import Reader
from tests.secret import new_secret
from tests.vault.archive import EAGER, Archive, FakeClock, contents
from tests.vault.test_frozen import SOUND, V1, Frozen, readable
from vault.check import check_vault
from vault.clock import SystemClock
from vault.errors import StoreError, StoreUnavailable, Trouble
from vault.ids import ObjectName
from vault.keyring import add_passphrase
from vault.prune import PruneRefused
from vault.rebuild import rebuild_index
from vault.records import RunRecord, ToldTrouble, rfc3339, write_run
from vault.stores.local import LocalStore
from vault.tombstones import write_hold
from vault.writer import VaultWriter

LAST = Policy(last=1)


def attached(number: int, size: int = 6_000) -> bytes:
    return mail_with(base64_lines(octets(size, number)), number=number)


def grown(days: int = 6) -> Archive:
    """A mailbox in which each day one mail comes and the one before goes; some stay."""
    archive = Archive()
    stay = {n: plain_mail(n) for n in range(1, 5)} | {5: attached(5)}
    for day in range(days):
        archive.backup(stay | {100 + day: attached(100 + day)})
        archive.clock.pass_(hours=24)
    return archive


def test_without_retention_everything_stays() -> None:
    archive = grown()
    before = archive.names("snapshots/") + archive.names("packs/")
    archive.prune_until_settled(Policy())
    assert archive.names("snapshots/") + archive.names("packs/") == before
    archive.assert_sound()


def test_what_no_kept_snapshot_needs_goes_after_the_grace_period_and_not_before() -> None:
    archive = grown()
    archive.clock.pass_(days=3)
    before = archive.octets()
    first = archive.prune(LAST)
    assert (first.deleted, first.octets_freed) == (0, 0)
    assert first.condemned
    archive.clock.pass_(hours=47)
    assert archive.prune(LAST).deleted == 0
    archive.assert_sound()
    archive.clock.pass_(hours=2)
    assert archive.prune(LAST).deleted > 5
    archive.assert_sound()
    archive.prune_until_settled(LAST)
    archive.assert_sound()
    assert len(archive.names("snapshots/")) == 1
    assert archive.octets() < before * 0.7


def test_a_dry_run_tells_what_a_prune_would_do_and_writes_nothing() -> None:
    archive = grown()
    archive.clock.pass_(days=3)
    before, watched = dict(archive.store.objects), Watched()
    told = archive.prune(LAST, watched, dry_run=True)
    assert archive.store.objects == before
    assert {call for call, _ in watched.calls} <= {"get", "list", "stat"}
    done = archive.prune(LAST)
    assert (told.snapshots, told.condemned) == (done.snapshots, done.condemned)


def test_a_pruned_vault_is_read_by_the_second_reader(tmp_path: Path) -> None:
    archive = grown(12)
    archive.prune_until_settled(LAST)
    secret = new_secret()
    add_passphrase(archive.store, archive.full_key, secret, "second")
    for name, data in archive.store.objects.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    reader = Reader(tmp_path, passphrase=secret)
    reader.load_index()
    (snapshot,) = reader.snapshots()
    found = {message.uid: message.octets for message in reader.messages(snapshot)}
    assert found == archive.truth[b64decode(snapshot["tree"])]


def test_an_attachment_needed_by_one_mail_alone_stays_though_no_row_names_it() -> None:
    archive = Archive()
    first = {1: attached(1, 30_000), 2: plain_mail(2)}
    archive.backup(first)
    archive.clock.pass_(days=1)
    archive.backup({**first, 3: plain_mail(3)})
    archive.clock.pass_(days=5)
    archive.prune_until_settled(LAST)
    archive.assert_sound()


def test_a_mail_that_comes_back_after_its_attachment_was_pruned_is_whole() -> None:
    archive = Archive()
    # Small mails share a block, so the recipe outlives its message; the attachment has a block and a pack of its own.
    fillers = {n: plain_mail(n) for n in range(2, 6)}
    archive.backup({1: attached(1, 60_000), **fillers})
    archive.clock.pass_(days=1)
    archive.backup(fillers)
    archive.clock.pass_(days=5)
    before = archive.octets()
    archive.prune_until_settled(LAST)
    assert archive.octets() < before - 30_000
    archive.backup({9: attached(1, 60_000), **fillers})
    archive.assert_sound()


def test_where_nothing_tells_what_attachments_mail_needs_all_content_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive()
    with monkeypatch.context() as silent:
        silent.setattr("vault.writer.encode_uses", lambda *_: b"")
        archive.backup({n: attached(n) for n in range(1, 4)})
        archive.backup({3: attached(3), 4: plain_mail(4)})
    archive.clock.pass_(days=3)
    before = set(archive.names("packs/"))
    report = archive.prune(LAST)
    assert any("content packs were left alone" in note for note in report.notes)
    archive.prune_until_settled(LAST)
    assert set(archive.names("packs/")) == before
    archive.assert_sound()


def test_an_attachment_pruned_away_is_not_taken_for_held() -> None:
    archive = Archive()
    fillers = {n: plain_mail(n) for n in range(2, 6)}
    archive.backup({1: attached(1, 60_000), **fillers})
    archive.clock.pass_(days=1)
    archive.backup(fillers)
    archive.clock.pass_(days=5)
    archive.prune_until_settled(LAST)
    vault = archive.open()
    writer = VaultWriter(vault, archive.store, clock=archive.clock)
    try:
        gone, there = attached(1, 60_000), fillers[2]
        blobs = [vault.ring.blob_id(b"message", mail) for mail in (gone, there)]
        assert [writer.holds(blob) for blob in blobs] == [False, True]
    finally:
        writer.close()


# Holds.


def test_what_is_on_hold_stays_until_it_is_released() -> None:
    archive = grown()
    vault = archive.open()
    first = vault.snapshots("anna")[0]
    held = write_hold(archive.store, vault.ring, archive.clock, "anna", first.id)
    archive.prune_until_settled(LAST)
    assert first.id in {s.id for s in archive.snapshots()}
    archive.assert_sound()
    write_hold(archive.store, vault.ring, archive.clock, "anna", first.id, [held])
    archive.prune_until_settled(LAST)
    assert first.id not in {s.id for s in archive.snapshots()}
    archive.assert_sound()


def test_a_hold_on_an_account_covers_what_comes() -> None:
    archive = grown(3)
    write_hold(archive.store, archive.open().ring, archive.clock, "anna", None)
    archive.backup({1: plain_mail(77)})
    archive.prune_until_settled(LAST)
    assert len(archive.snapshots()) == 4


def test_a_hold_comes_in_time_while_what_it_holds_is_condemned() -> None:
    archive = grown()
    archive.clock.pass_(days=3)
    first = archive.snapshots()[0]
    archive.prune(LAST)
    write_hold(archive.store, archive.open().ring, archive.clock, "anna", first.id)
    archive.prune_until_settled(LAST)
    assert first.id in {s.id for s in archive.snapshots()}
    archive.assert_sound()


def test_a_hold_that_vanished_stops_all_pruning() -> None:
    archive = grown()
    held = write_hold(archive.store, archive.open().ring, archive.clock, "anna", archive.snapshots()[0].id)
    archive.prune(Policy())
    del archive.store.objects[held]
    with pytest.raises(PruneRefused, match="hold is missing"):
        archive.prune(LAST)
    assert [found.object for found in check_vault(archive.open(), read=False).damage] == [held]


# Mass disappearance.


def test_expiry_stops_when_most_mail_goes_at_once_until_that_is_acknowledged() -> None:
    archive = Archive()
    many = {n: plain_mail(n) for n in range(1, 11)}
    for _ in range(3):
        archive.backup({**many, 99: plain_mail(archive.clock.moment.hour)})
        archive.clock.pass_(days=1)
    archive.backup({1: many[1]})
    archive.clock.pass_(days=3)
    for _ in range(3):
        report = archive.prune(LAST)
        assert report.suspended == ("anna",)
        assert all(s.keep for s in report.snapshots)
        archive.backup({1: many[1], archive.clock.moment.day: plain_mail(archive.clock.moment.day)})
        archive.clock.pass_(days=1)
    archive.prune(LAST, acknowledged=["anna"])
    archive.prune_until_settled(LAST)
    assert len(archive.snapshots()) == 1
    archive.assert_sound()


def test_one_account_s_disappearance_does_not_stop_the_others() -> None:
    archive = Archive()
    for mails in ({n: plain_mail(n) for n in range(1, 9)}, {1: plain_mail(1)}):
        archive.backup(mails, "anna")
        archive.backup({len(mails): plain_mail(50 + len(mails)), 99: plain_mail(99)}, "bert")
        archive.clock.pass_(days=3)
    archive.prune_until_settled(LAST)
    assert sorted(s.account for s in archive.snapshots()) == ["anna", "anna", "bert"]


# Stores that die, hide or refuse.


def ready() -> Archive:
    """A vault in which one prune has things to condemn, to copy, to merge and to delete."""
    archive = grown(5)
    archive.clock.pass_(days=3)
    archive.prune(LAST)
    archive.clock.pass_(days=2)
    stay = {5: attached(5)}
    for n in range(9):
        stay[n + 200] = plain_mail(n + 200)
        archive.backup({**stay, 300 + n: attached(300 + n, 5_000)})
        archive.clock.pass_(hours=1)
    archive.clock.pass_(days=3)
    return archive


READY = ready()


def aged() -> Archive:
    """The same vault again, for a test to spoil."""
    archive = Archive(FakeClock(READY.clock.moment), READY.truth)
    archive.store.objects, archive.store._times = dict(READY.store.objects), dict(READY.store._times)
    return archive


def test_the_vault_under_test_keeps_a_prune_busy() -> None:
    archive, watched = aged(), Watched()
    report = archive.prune(LAST, watched)
    put = {name.split("/")[0] for call, name in watched.calls if call == "put"}
    gone = {name.split("/")[0] for call, name in watched.calls if call == "delete"}
    assert put == {"packs", "meta", "index", "tombstones"}
    assert gone >= {"packs", "meta", "index", "snapshots", "tombstones"}
    assert report.condemned > 30
    archive.assert_sound()


@pytest.mark.parametrize("late", [False, True], ids=["before its effect", "after its effect"])
@pytest.mark.parametrize("call", ["put", "delete", "list", "get", "stat"])
def test_a_prune_killed_at_any_call_is_completed_by_the_next(call: str, *, late: bool) -> None:
    step = 1 if call in {"put", "delete", "stat"} else 17
    for n in range(1, 10_000, step):
        archive = aged()
        try:
            archive.prune(LAST, Dying(call, n, late=late))
        except Killed:
            archive.assert_sound(read=n % 5 == 0)
            archive.backup({1: plain_mail(1), 2: attached(400)})
            archive.clock.pass_(days=3)
            archive.prune(LAST)
            archive.assert_sound(read=False)
        else:
            assert n > 1
            return


@pytest.mark.parametrize("prefix", ["runs/", "snapshots/", "tombstones/", "index/", "packs/", "meta/", "holds/", ""])
def test_a_listing_that_comes_short_deletes_nothing_that_lives(prefix: str) -> None:
    whole = len(aged().names(prefix))
    for shown in sorted({*range(min(whole, 6)), whole // 2, max(whole - 1, 0)}):
        archive = aged()
        held, *_, newest = archive.snapshots()
        write_hold(archive.store, archive.open().ring, archive.clock, "anna", held.id)
        archive.prune(LAST)
        for _ in range(4):
            with suppress(Trouble):
                archive.prune(LAST, ShortListing(prefix, shown))
            archive.clock.pass_(hours=30)
        assert {held.id, newest.id} <= {s.id for s in archive.snapshots()}
        archive.assert_sound(read=False)


@pytest.mark.parametrize("lost", ["first", "middle", "newest", "account"])
def test_a_snapshot_that_is_lost_stops_all_pruning_until_it_is_acknowledged(lost: str) -> None:
    archive = Archive()
    for n in range(6):
        archive.backup({1: plain_mail(n)})
        archive.backup({1: plain_mail(50 + n)}, "bert")
        archive.clock.pass_(days=1)
    names = [f"snapshots/{s.account_id}/{s.id}" for s in archive.open().snapshots("anna")]
    chosen = {"first": names[:1], "middle": names[2:3], "newest": names[-1:], "account": names}[lost]
    for name in chosen:
        del archive.store.objects[ObjectName(name)]
    before = archive.names("packs/")
    for _ in range(3):
        with pytest.raises(PruneRefused, match="missing"):
            archive.prune(LAST)
        archive.clock.pass_(days=3)
    assert archive.names("packs/") == before
    account = archive.open().ring.account_id("anna")
    archive.prune(LAST, acknowledged=["anna", account])
    archive.prune_until_settled(LAST)
    assert check_vault(archive.open(), read=False).damage == ()


def test_a_lost_index_stops_all_pruning_until_it_is_rebuilt() -> None:
    archive = aged()
    index = archive.names("index/")
    for name in index:
        del archive.store.objects[name]
    with pytest.raises(Trouble):
        archive.prune(LAST)
    rebuild_index(archive.store, archive.backup_key, archive.clock)
    archive.prune(LAST)
    archive.assert_sound()


class Locked(Fault):
    """The store lets nothing of a prefix go (Object Lock)."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def before(self, call: str, name: str) -> None:
        if call == "delete" and name.startswith(self.prefix):
            raise StoreError(f"can't delete {name}: access denied", hint="wait")


@pytest.mark.parametrize("prefix", ["packs/", "meta/", "index/", "snapshots/", "runs/", "tombstones/", ""])
def test_what_the_store_refuses_to_delete_waits_and_stays_whole(prefix: str) -> None:
    archive, waiting = aged(), 0
    for _ in range(3):
        waiting += archive.prune(LAST, Locked(prefix)).waiting
        archive.assert_sound(read=False)
        archive.clock.pass_(days=3)
    assert waiting or prefix == "runs/"
    archive.prune_until_settled(LAST)
    archive.assert_sound()
    assert len(archive.snapshots()) == 1


def test_a_store_that_falls_silent_ends_a_prune_with_an_error_and_nothing_lost() -> None:
    for n in range(0, 400, 13):
        archive = aged()
        with suppress(StoreUnavailable):
            archive.prune(LAST, Unavailable(after_calls=n))
        archive.assert_sound(read=False)


def test_what_people_were_told_last_is_never_pruned() -> None:
    archive = Archive()
    archive.backup({1: plain_mail(1)})
    for what in ("failed", "partial"):
        now = rfc3339(archive.clock.now())
        standing = (ToldTrouble("job", "hourly", what, now),)
        record = RunRecord(
            started=now, finished=now, accounts=(), kind="notify", status="complete", told={"email": standing}
        )
        write_run(archive.store, archive.open().ring, record)
        archive.clock.pass_(hours=1)
    archive.clock.pass_(days=100)
    archive.prune_until_settled(LAST)
    assert [run.told["email"][0].what for run in archive.open().runs() if run.told] == ["partial"]
    archive.assert_sound()


# Vaults of earlier days; readers that go on while one is at work.


@pytest.mark.parametrize("name", SOUND)
def test_a_frozen_vault_can_be_pruned_and_what_stands_stays_readable(name: str, tmp_path: Path) -> None:
    shutil.copytree(V1 / name, tmp_path / name)
    frozen = Frozen(tmp_path / name)
    store, clock = LocalStore(frozen.root / "vault"), SystemClock()
    truth, kept = Frozen(V1 / name).truth(), 0
    for _ in range(4):
        for path in (frozen.root / "vault").rglob("*"):
            os.utime(path, (path.stat().st_mtime - 200_000,) * 2)
        report = run_prune(frozen.open(), store, lambda _: Policy(last=1), clock=clock, thresholds=EAGER)
        assert frozen.check(read=True).damage == ()
        kept = sum(s.keep for s in report.snapshots)
    assert len(frozen.open().snapshots()) == kept
    found = readable(frozen.open())
    assert found
    assert found <= truth


def test_a_reader_with_an_old_index_finds_what_a_prune_has_moved() -> None:
    archive = aged()
    vault = archive.open()
    vault.refresh()
    newest = vault.snapshots("anna")[-1]
    before = set(archive.names("packs/"))
    archive.prune_until_settled(LAST)
    assert before - set(archive.names("packs/")), "nothing was moved"
    assert contents(vault, newest) == archive.truth[newest.tree]


def test_mail_is_read_on_in_bulk_though_a_prune_has_moved_it() -> None:
    archive = aged()
    vault = archive.open()
    (inbox,) = vault.tree(vault.snapshots("anna")[-1]).mailboxes
    wanted = [(row.blob, row.size) for row in vault.rows(inbox)]
    archive.prune_until_settled(LAST)
    assert [octets for _, octets in vault.read_messages(wanted)] == [
        *archive.truth[archive.snapshots()[-1].tree].values()
    ]


def test_damage_in_what_would_be_copied_is_left_where_it_is() -> None:
    archive = aged()
    plan, watched = archive.prune(LAST, dry_run=True), Watched()
    assert plan.condemned
    spoilt = archive.names("packs/")[0]
    archive.store.objects[spoilt] = flip(archive.store.objects[spoilt], 30)
    for _ in range(3):
        archive.prune(LAST, watched)
        archive.clock.pass_(days=3)
    vault = archive.open()
    needed = {place.object_name for s in vault.snapshots() for m in vault.tree(s).mailboxes for row in vault.rows(m)
              for place in vault.index.locate(row.blob)}  # fmt: skip
    assert (spoilt in archive.store.objects) == (spoilt in needed)


def test_a_snapshot_that_lacks_mail_keeps_every_whole_one() -> None:
    archive = aged()
    vault = archive.open()
    newest = vault.snapshots("anna")[-1]
    (inbox,) = vault.tree(newest).mailboxes
    last = list(vault.rows(inbox))[-1]
    for place in vault.index.locate(last.blob):
        del archive.store.objects[place.object_name]
    whole = [s.id for s in archive.snapshots()]
    for _ in range(3):
        with pytest.raises(PruneRefused, match=f"snapshot {newest.id} of anna"):
            archive.prune(LAST)
        archive.clock.pass_(days=3)
    assert [s.id for s in archive.snapshots()] == whole
    # The mail is still on the server: the next backup heals, and pruning goes on.
    archive.backup(archive.truth[newest.tree], wary=True)
    archive.clock.pass_(days=3)
    archive.prune_until_settled(LAST)
    archive.assert_sound()
    assert len(archive.snapshots()) == 1


def test_what_lies_among_the_tombstones_and_is_none_stops_nobody() -> None:
    archive = grown(3)
    archive.store.put(ObjectName("tombstones/20240101T000000Z-00000000"), b"not one of ours")
    archive.clock.pass_(days=3)
    archive.backup({**{n: plain_mail(n) for n in range(1, 5)}, 5: attached(5)})
    archive.prune_until_settled(LAST)
    archive.assert_sound()
    assert len(archive.snapshots()) == 1
