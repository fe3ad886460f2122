"""Restoring to files: Maildir that Dovecot serves as it lies, mbox, eml."""

from __future__ import annotations

import json
import mailbox
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from restore.errors import TargetTrouble
from tests.backup.site import Site, account, joined
from tests.corpus import MAILBOX_NAMES, SERVABLE, TWINS, plain_mail
from tests.restore.replay import held, restore, to_files
from tests.servers import DovecotServer
from tests.servers.maildir import Mail, deliver

LATE = datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)


@pytest.fixture
def filled(dovecot: DovecotServer, tmp_path: Path) -> tuple[Site, str]:
    """Return a vault that holds one account with a bit of everything, and the account."""
    site, user = Site(tmp_path), dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [*SERVABLE.values(), *TWINS])
    deliver(dovecot, user, "Work/2024", [Mail(plain_mail(1), ("\\Seen", "\\Flagged", "$Forwarded", "Urgent"), LATE)])
    with dovecot.open(user) as imap:
        for name in MAILBOX_NAMES:
            imap.create(name, subscribe=True)
            imap.append(name, plain_mail(2), ("Later", "\\Answered"))
    assert site.backup(account(dovecot, user)).status == "complete"
    return site, user


def blobs(site: Site, user: str) -> Counter[bytes]:
    vault = site.open()
    return Counter(
        vault.read_message(row.blob)
        for box in vault.tree(site.snapshot(user)).mailboxes
        for row, _ in joined(vault.rows(box), vault.flags(box))
    )


def test_dovecot_serves_a_restored_maildir_as_it_lies(
    dovecot: DovecotServer, second_dovecot: DovecotServer, filled: tuple[Site, str]
) -> None:
    site, user = filled
    heir = second_dovecot.new_user().name
    maildir = second_dovecot.home(heir) / "Maildir"
    report = restore(site, site.snapshot(user), to_files(f"maildir:{maildir}"), verify=True)
    assert (report.status, report.altered, report.failures) == ("complete", (), ())
    second_dovecot.own(second_dovecot.home(heir))
    assert held(second_dovecot, heir) == held(dovecot, user)
    with dovecot.open(user) as old, second_dovecot.open(heir) as new:
        assert set(new.names("LSUB")) == set(old.names("LSUB"))


@pytest.mark.parametrize("kind", ["maildir", "mbox", "eml"])
def test_a_second_restore_to_files_adds_nothing(kind: str, filled: tuple[Site, str], tmp_path: Path) -> None:
    site, user = filled
    first = restore(site, site.snapshot(user), to_files(f"{kind}:{tmp_path / kind}"))
    second = restore(site, site.snapshot(user), to_files(f"{kind}:{tmp_path / kind}"), verify=True)
    assert (second.status, second.restored, second.skipped) == ("complete", 0, first.restored)


def test_eml_files_hold_the_exact_octets_and_the_list_the_rest(filled: tuple[Site, str], tmp_path: Path) -> None:
    site, user = filled
    restore(site, site.snapshot(user), to_files(f"eml:{tmp_path / 'out'}"))
    assert Counter(path.read_bytes() for path in (tmp_path / "out").rglob("*.eml")) == blobs(site, user)
    (line,) = (tmp_path / "out" / "Work" / "2024" / "messages.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["flags"], entry["internaldate"]) == (
        ["$Forwarded", "Urgent", "\\Flagged", "\\Seen"],
        "29-Feb-2024 23:59:59 +0000",
    )


def test_other_programs_read_a_restored_mbox(filled: tuple[Site, str], tmp_path: Path) -> None:
    site, user = filled
    report = restore(site, site.snapshot(user), to_files(f"mbox:{tmp_path / 'out'}"), verify=True)
    added = [a for a in report.altered if "newline" in a.what]
    assert report.verified + len(added) == report.restored
    with closing(mailbox.mbox(tmp_path / "out" / "Work" / "2024.mbox")) as box:
        assert [message["Message-ID"] for message in box] != [None]


def test_a_half_written_mbox_is_mended_by_the_next_restore(filled: tuple[Site, str], tmp_path: Path) -> None:
    site, user = filled
    restore(site, site.snapshot(user), to_files(f"mbox:{tmp_path / 'out'}"))
    inbox = tmp_path / "out" / "INBOX.mbox"
    whole = Counter(inbox.read_bytes().split(b"@restante"))
    inbox.write_bytes(inbox.read_bytes()[:-100])
    report = restore(site, site.snapshot(user), to_files(f"mbox:{tmp_path / 'out'}"))
    assert (report.status, report.restored) == ("complete", 1)
    assert Counter(inbox.read_bytes().split(b"@restante")).total() == whole.total()


def test_a_full_disk_is_told_in_one_line(filled: tuple[Site, str]) -> None:
    site, user = filled
    with pytest.raises(TargetTrouble, match="can't write"):
        restore(site, site.snapshot(user), to_files("eml:/proc/restored"))
