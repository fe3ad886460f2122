"""What comes back on a real server after the first one is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from restore import Filters, Mapping
from tests.backup.site import Site, account
from tests.corpus import MAILBOX_NAMES, SERVABLE, TWINS, base64_lines, mail_with, octets, plain_mail
from tests.proxy import cutting_proxy
from tests.restore.replay import held, restore, to_server
from tests.servers import CyrusServer, DovecotServer
from tests.servers.maildir import Mail, deliver
from vault.packer import PackLimits

LATE = datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def fill(server: DovecotServer, user: str) -> None:
    """Give an account all that is hard to bring back."""
    deliver(server, user, "INBOX", [mail for mail in (*SERVABLE.values(), *TWINS) if b"\r\r\n" not in mail])
    deliver(server, user, "Sent", [Mail(plain_mail(1), ("\\Seen", "\\Flagged", "$Forwarded", "Urgent"), LATE)])
    with server.open(user) as imap:
        for name in MAILBOX_NAMES:
            imap.create(name, subscribe=True)
            imap.append(name, plain_mail(2), ("\\Draft",), "01-Jan-1999 00:00:01 +0530")
        imap.create("Never subscribed")


def test_all_comes_back_on_an_empty_server(dovecot: DovecotServer, second_dovecot: DovecotServer, site: Site) -> None:
    user, heir = dovecot.new_user().name, second_dovecot.new_user().name
    fill(dovecot, user)
    site.backup(account(dovecot, user))
    report = restore(site, site.snapshot(user), to_server(second_dovecot, heir), verify=True)
    assert (report.status, report.altered, report.failures) == ("complete", (), ())
    assert held(second_dovecot, heir) == held(dovecot, user)
    assert report.verified == report.restored == sum(map(len, map(list, site.contents(site.snapshot(user)).values())))
    with dovecot.open(user) as old, second_dovecot.open(heir) as new:
        assert new.names() == old.names()
        assert set(new.names("LSUB")) == set(old.names("LSUB"))


def test_what_the_target_alters_is_found_by_verifying(
    dovecot: DovecotServer, second_dovecot: DovecotServer, site: Site
) -> None:
    user, heir = dovecot.new_user().name, second_dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [plain_mail(1), plain_mail(2, body=b"Dovecot drops a CR before CRLF\r\r\n")])
    site.backup(account(dovecot, user))
    report = restore(site, site.snapshot(user), to_server(second_dovecot, heir), verify=True)
    assert (report.status, report.verified) == ("complete", 1)
    assert [(a.mailbox, a.uid, a.what) for a in report.altered] == [("INBOX", 2, "the target keeps other octets")]


def test_a_second_restore_restores_nothing(dovecot: DovecotServer, second_dovecot: DovecotServer, site: Site) -> None:
    user, heir = dovecot.new_user().name, second_dovecot.new_user().name
    fill(dovecot, user)
    site.backup(account(dovecot, user))
    first = restore(site, site.snapshot(user), to_server(second_dovecot, heir))
    before = held(second_dovecot, heir)
    second = restore(site, site.snapshot(user), to_server(second_dovecot, heir))
    assert (second.status, second.restored, second.skipped) == ("complete", 0, first.restored)
    assert held(second_dovecot, heir) == before


def test_a_twin_that_is_missing_comes_back_and_the_other_stays_one(
    dovecot: DovecotServer, second_dovecot: DovecotServer, site: Site
) -> None:
    user, heir = dovecot.new_user().name, second_dovecot.new_user().name
    deliver(dovecot, user, "INBOX", TWINS)
    site.backup(account(dovecot, user))
    deliver(second_dovecot, heir, "INBOX", TWINS[:1])
    report = restore(site, site.snapshot(user), to_server(second_dovecot, heir))
    assert (report.restored, report.skipped) == (1, 1)
    assert held(second_dovecot, heir) == held(dovecot, user)


@pytest.mark.parametrize("limit", [700, 900, 1500, 2500, 4000])
def test_a_restore_whose_answers_are_lost_leaves_no_duplicate_and_no_gap(
    dovecot: DovecotServer, second_dovecot: DovecotServer, site: Site, limit: int
) -> None:
    user, heir = dovecot.new_user().name, second_dovecot.new_user().name
    deliver(
        dovecot, user, "INBOX", [*TWINS, *(plain_mail(n, body=octets(2_000, n).hex().encode()) for n in range(250))]
    )
    site.backup(account(dovecot, user))
    with cutting_proxy(second_dovecot.port, [5_000, *(limit * n for n in (1, 2, 3, 1, 2))]) as proxy:
        report = restore(site, site.snapshot(user), to_server(second_dovecot, heir, port=proxy.port))
    assert (report.status, report.failures) == ("complete", ())
    assert held(second_dovecot, heir) == held(dovecot, user)


def test_a_restore_from_cyrus_to_dovecot_and_back_keeps_all(
    dovecot: DovecotServer, cyrus: CyrusServer, site: Site
) -> None:
    user, heir = dovecot.new_user().name, cyrus.new_user().name
    deliver(dovecot, user, "INBOX", [plain_mail(n) for n in range(20)])
    deliver(dovecot, user, "Projects/2024", [Mail(plain_mail(50), ("\\Seen", "Urgent"), LATE)])
    site.backup(account(dovecot, user))
    report = restore(site, site.snapshot(user), to_server(cyrus, heir), verify=True)
    assert (report.status, report.altered) == ("complete", ())
    there = held(cyrus, heir)
    assert {name: there[name] for name in ("INBOX", "Projects/2024")} == {
        name: mails for name, mails in held(dovecot, user).items() if mails
    }


def test_what_cyrus_refuses_is_named_in_its_words_and_all_else_is_there(
    start_dovecot: Callable[..., DovecotServer], cyrus: CyrusServer, site: Site
) -> None:
    server = start_dovecot(location="mdbox:~/mdbox")
    user, heir = server.new_user().name, cyrus.new_user().name
    with server.open(user) as imap:
        imap.append("INBOX", plain_mail(1))
        imap.append("INBOX", plain_mail(2, body=b"a NUL: \0\r\n"))
        imap.append("INBOX", b"no header here")
        imap.append("INBOX", plain_mail(3))
    site.backup(account(server, user))
    report = restore(site, site.snapshot(user), to_server(cyrus, heir))
    assert report.status == "partial"
    assert report.restored == len(held(cyrus, heir)["INBOX"])
    assert report.restored + len(report.failures) == 4
    assert any("NUL" in failure.reason or "header" in failure.reason for failure in report.failures)


def test_names_and_separators_are_translated(
    start_dovecot: Callable[..., DovecotServer], second_dovecot: DovecotServer, site: Site
) -> None:
    server = start_dovecot(separator=".", prefix="INBOX.")
    user, heir = server.new_user().name, second_dovecot.new_user().name
    with server.open(user) as imap:
        imap.create("INBOX.Sent", subscribe=True)
        imap.create("INBOX.Work.2024")
        imap.append("INBOX.Work.2024", plain_mail(1))
    site.backup(account(server, user))
    report = restore(site, site.snapshot(user), to_server(second_dovecot, heir))
    assert report.status == "complete"
    with second_dovecot.open(heir) as imap:
        assert {"Sent", "Work/2024"} <= set(imap.names())
        assert len(imap.messages("Work/2024")) == 1
    back = server.new_user().name
    restore(site, site.snapshot(user), to_server(server, back))
    assert held(server, back) == held(server, user)


def test_sent_mail_goes_to_the_mailbox_with_that_role(
    start_dovecot: Callable[..., DovecotServer], dovecot: DovecotServer, site: Site
) -> None:
    german = start_dovecot(extra="namespace inbox {\n  mailbox Gesendet {\n    special_use = \\Sent\n  }\n}\n")
    user, heir = dovecot.new_user().name, german.new_user().name
    deliver(dovecot, user, "Sent", [plain_mail(1)])
    with german.open(heir) as imap:
        imap.create("Gesendet")
    site.backup(account(dovecot, user))
    restore(site, site.snapshot(user), to_server(german, heir))
    assert len(held(german, heir)["Gesendet"]) == 1


def test_filters_and_mapping_choose_and_place(
    dovecot: DovecotServer, second_dovecot: DovecotServer, site: Site
) -> None:
    user, heir = dovecot.new_user().name, second_dovecot.new_user().name
    old = datetime(2019, 1, 1, 12, tzinfo=UTC)
    deliver(dovecot, user, "Old/Plans", [Mail(plain_mail(1, subject="Grüße"), (), old), Mail(plain_mail(2), (), LATE)])
    deliver(dovecot, user, "Other", [plain_mail(3)])
    site.backup(account(dovecot, user))

    def restored(filters: Filters, mapping: Mapping) -> dict[str, int]:
        target = second_dovecot.new_user().name
        restore(site, site.snapshot(user), to_server(second_dovecot, target), filters=filters, mapping=mapping)
        return {name: mails.total() for name, mails in held(second_dovecot, target).items() if mails}

    renamed = Mapping(renames=(("Old/*", "New/*"),))
    assert restored(Filters(mailboxes=("old/*",)), renamed) == {"New/Plans": 2}
    assert restored(Filters(since=date(2024, 1, 1)), Mapping()) == {"Old/Plans": 1}
    assert restored(Filters(before=date(2019, 1, 2)), Mapping(into="Rescued")) == {"Rescued/Old/Plans": 1}
    assert restored(Filters(subject="grüsse".replace("ss", "ß")), Mapping()) == {"Old/Plans": 1}
    assert not held(second_dovecot, heir)["INBOX"]


def test_a_damaged_vault_gives_back_all_that_is_sound_and_no_wrong_octet(
    dovecot: DovecotServer, second_dovecot: DovecotServer, tmp_path: Path
) -> None:
    site = Site(tmp_path)
    object.__setattr__(
        site.options, "limits", PackLimits(pack=200_000, block=20_000, alone=10_000, message_alone=10_000)
    )
    user, heir = dovecot.new_user().name, second_dovecot.new_user().name
    mails = [mail_with(base64_lines(octets(30_000, n)), number=n) for n in range(30)]
    deliver(dovecot, user, "INBOX", mails)
    site.backup(account(dovecot, user))
    # A full pack: the last one holds a small block that all 30 need.
    pack = max((site.directory / "vault" / "packs").rglob("*/*"), key=lambda path: path.stat().st_size)
    data = pack.read_bytes()
    pack.write_bytes(data[:60_000] + bytes(60_000) + data[120_000:])
    report = restore(site, site.snapshot(user), to_server(second_dovecot, heir))
    assert report.status == "partial"
    assert report.failures
    assert all(pack.name in failure.reason for failure in report.failures)
    there = held(second_dovecot, heir)["INBOX"]
    assert there.total() == 30 - len(report.failures) == report.restored
    assert {text for text, _, _ in there} < set(mails)
