"""Restoring to files: Maildir that Dovecot and Courier serve as it lies, mbox, eml."""

from __future__ import annotations

import json
import mailbox
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from restore import Mapping
from restore.errors import TargetTrouble
from tests.backup.site import Site, account, joined
from tests.corpus import MAILBOX_NAMES, SERVABLE, TWINS, plain_mail
from tests.restore.replay import held, restore, to_files
from tests.servers import CourierServer, DovecotServer
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


def test_courier_serves_a_restored_maildir_as_it_lies_and_mail_arrives_in_it_again(
    courier: CourierServer, filled: tuple[Site, str]
) -> None:
    site, user = filled
    heir = courier.new_user().name
    maildir = str(courier.home(heir) / "Maildir")
    known = Mapping((("🎉", "Party"),))  # Courier knows no characters beyond U+FFFF
    report = restore(site, site.snapshot(user), to_files(f"maildir:{maildir}"), mapping=known)
    assert (report.status, report.failures) == ("complete", ())
    # Since version 5 Courier names folders in UTF-8, and brings this along for the names of before.
    subprocess.run([courier.programs["maildirmake"], "--convutf8", maildir, f"{maildir}/filter"], check=True)
    courier.own(courier.home(heir))
    assert at_courier(courier, heir) == Counter(
        (_below_inbox(name), seen.octets, _system(seen.flags), _utc(seen.internaldate))
        for name, mails in site.contents(site.snapshot(user)).items()
        for seen in mails
        if b"\r\r\n" not in seen.octets  # no file with LF line ends can hold it
    )
    with courier.open(heir) as imap:
        assert set(imap.names("LSUB")) >= set(map(_below_inbox, MAILBOX_NAMES))  # it lists the levels above too
        assert imap.append("INBOX", plain_mail(99)).ok
        assert plain_mail(99) in [seen.octets for seen in imap.messages("INBOX")]


def at_courier(server: CourierServer, user: str) -> Counter[tuple[str, bytes, tuple[str, ...], datetime]]:
    """Return what Courier serves; it reads no `dovecot-keywords`."""
    with server.open(user) as imap:
        return Counter(
            (name, seen.octets, _system(seen.flags), _utc(seen.internaldate))
            for name, mails in imap.account().items()
            for seen in mails
            if b"\r\r\n" not in seen.octets
        )


def _below_inbox(name: str) -> str:
    return name if name == "INBOX" else "INBOX." + name.replace("/", ".").replace("🎉", "Party")


def _system(flags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(flag for flag in flags if flag.startswith("\\"))


def _utc(internaldate: str) -> datetime:
    return datetime.strptime(internaldate.strip(), "%d-%b-%Y %H:%M:%S %z").astimezone(UTC)


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


@pytest.mark.parametrize("kind", ["maildir", "mbox", "eml"])
def test_names_that_a_file_system_finds_hard_cost_nobody_else_his_mail(
    kind: str, start_dovecot: Callable[..., DovecotServer], tmp_path: Path
) -> None:
    server, site = start_dovecot(location="mdbox:~/mdbox"), Site(tmp_path)
    user = server.new_user().name
    names = ("Work", "Work.mbox", "Work/messages.jsonl", "Work.mbox/deep", "v1.2", "...", ".hidden/x", "x" * 255)
    with server.open(user) as imap:
        for at, name in enumerate(names):
            imap.create(name)
            imap.append(name, plain_mail(at))
    site.backup(account(server, user))
    first = restore(site, site.snapshot(user), to_files(f"{kind}:{tmp_path / 'out'}"), verify=True)
    again = restore(site, site.snapshot(user), to_files(f"{kind}:{tmp_path / 'out'}"))
    refused = [failure.mailbox for failure in first.failures]
    assert refused == (["x" * 255] if kind != "eml" else [])
    assert (first.restored, first.verified) == (len(names) - len(refused),) * 2
    assert (again.restored, again.skipped) == (0, first.restored)
    assert not [path for path in tmp_path.iterdir() if path.name not in {"vault", "out"}]


def test_equal_messages_of_two_mailboxes_mapped_to_one_folder_stay_two(dovecot: DovecotServer, tmp_path: Path) -> None:
    site, user = Site(tmp_path), dovecot.new_user().name
    deliver(dovecot, user, "A", TWINS)
    deliver(dovecot, user, "B", TWINS[:1])
    site.backup(account(dovecot, user))
    both = Mapping((("A", "Both"), ("B", "Both")))
    for kind in ("maildir", "mbox", "eml"):
        counts = []
        for _ in range(2):
            report = restore(site, site.snapshot(user), to_files(f"{kind}:{tmp_path / kind}"), mapping=both)
            counts.append((report.restored, report.skipped))
        assert counts == [(3, 0), (0, 3)], kind
