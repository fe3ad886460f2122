"""What the store lost and the server still has is written anew by the next backup."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.backup.site import Site, account, only, served
from tests.corpus import base64_lines, mail_with, octets, plain_mail
from tests.servers import DovecotServer
from tests.servers.maildir import deliver
from vault.check import check_vault
from vault.clock import SystemClock
from vault.columns import ColumnWriter
from vault.model import Tree
from vault.packer import PackLimits
from vault.writer import SnapshotDraft, VaultWriter

SHARED = base64_lines(octets(20_000))


@pytest.fixture
def user(dovecot: DovecotServer) -> str:
    name = dovecot.new_user().name
    deliver(dovecot, name, "INBOX", [mail_with(SHARED, number=1), *(plain_mail(n) for n in range(2, 12))])
    return name


@pytest.fixture
def site(dovecot: DovecotServer, user: str, tmp_path: Path) -> Site:
    made = Site(tmp_path)
    object.__setattr__(made.options, "limits", PackLimits(pack=15_000, block=1_000, alone=4_000, message_alone=4_000))
    made.backup(account(dovecot, user))
    return made


def packs(site: Site) -> list[Path]:
    found = (site.directory / "vault" / "packs").rglob("*")
    return sorted((p for p in found if p.is_file()), key=lambda p: p.stat().st_size)


def holds_everything(site: Site, dovecot: DovecotServer, user: str) -> bool:
    return site.contents(site.snapshot(user)) == served(dovecot, user)


def test_mail_in_a_lost_pack_is_read_again(dovecot: DovecotServer, site: Site, user: str) -> None:
    lost = packs(site)[0]
    lost.unlink()
    report = only(site.backup(account(dovecot, user)))
    assert any("lost mail" in alarm for alarm in report.alarms)
    assert report.status == "complete"
    assert holds_everything(site, dovecot, user)
    (found,) = check_vault(site.open(), read=True).damage
    assert (lost.name in found.object, found.affects) == (True, ())


def test_it_is_read_again_only_once(dovecot: DovecotServer, site: Site, user: str) -> None:
    packs(site)[0].unlink()
    site.backup(account(dovecot, user))
    again = only(site.backup(account(dovecot, user)))
    assert (again.new_messages, again.alarms) == (0, ())


def test_an_attachment_that_comes_again_is_not_taken_for_known_when_its_pack_is_lost(
    dovecot: DovecotServer, site: Site, user: str
) -> None:
    packs(site)[-1].unlink()
    deliver(dovecot, user, "Later", [mail_with(SHARED, number=20)])
    site.backup(account(dovecot, user))
    later = site.contents(site.snapshot(user))["Later"]
    assert later == served(dovecot, user)["Later"]


def test_a_pack_cut_short_is_as_good_as_lost(dovecot: DovecotServer, site: Site, user: str) -> None:
    pack = packs(site)[0]
    pack.write_bytes(pack.read_bytes()[:100])
    site.backup(account(dovecot, user))
    assert holds_everything(site, dovecot, user)


@pytest.mark.parametrize("forged", ["tree", "rows", "flags", "node"])
def test_tables_that_are_none_are_written_anew_and_cost_no_other_account(
    dovecot: DovecotServer, site: Site, user: str, forged: str
) -> None:
    """Whoever has the backup host's key can seal anything; so could a fault of ours."""
    forge(site, user, forged)
    with dovecot.open(user) as imap:
        imap.append("INBOX", plain_mail(99))
    report = site.backup(account(dovecot, user), account(dovecot, dovecot.new_user().name))
    assert [one.status for one in report.accounts] == ["complete", "complete"]
    assert any("read again from the start" in alarm for alarm in report.accounts[0].alarms)
    assert holds_everything(site, dovecot, user)


def forge(site: Site, user: str, what: str) -> None:
    """Write a snapshot with something in the place of a tree or table."""
    vault, snapshot = site.open(), site.snapshot(user)
    writer = VaultWriter(vault, site.store, clock=SystemClock())
    (inbox, *_) = vault.tree(snapshot).mailboxes
    junk = writer.add_meta(b"no page of any kind")
    if what == "node":
        columns = ColumnWriter().octets(b"N").numbers([15]).numbers([3]).numbers([3]).octets(junk)
        changed = msgspec.structs.replace(inbox, rows=writer.add_meta(columns.done()))
    else:
        changed = msgspec.structs.replace(inbox, **{what: junk}) if what != "tree" else inbox
    tree = junk if what == "tree" else writer.add_meta(msgspec.json.encode(Tree((changed,))))
    writer.flush()
    writer.write_snapshots([SnapshotDraft(user, "complete", tree, 1, inbox.messages, inbox.octets)])
    writer.close()
