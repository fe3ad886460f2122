"""What comes back on a real server after the first one is lost; on one in process where no real one keeps as much."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from secrets import token_hex

import pytest

from restore import Filters, Mapping
from tests.backup.site import Site, account, only
from tests.corpus import (
    DOTTED_NAMES,
    EMPTY,
    MAILBOX_NAMES,
    MESSAGES,
    SERVABLE,
    TWINS,
    base64_lines,
    mail_with,
    octets,
    plain_mail,
)
from tests.proxy import cutting_proxy
from tests.restore.replay import held, restore, to_files, to_server
from tests.servers import CyrusServer, DovecotServer, ImapServer, RcloneS3
from tests.servers.dovecot import ROLES
from tests.servers.inprocess import GENERIC, InProcessServer
from tests.servers.maildir import Mail, deliver
from vault.packer import PackLimits
from vault.stores import open_store

LATE = datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)
FOLDERS = "maildir:~/Maildir:LAYOUT=fs"
"""Maildirs in a tree of folders, where a name may hold a dot."""
WILD = (
    *MESSAGES.values(),
    *TWINS,
    EMPTY,
    *(b"\0", b"\r", b"\n", b"\n\r", b"\r\r\n", bytes(range(256))),
    plain_mail(700, headers=b"X-Odd: \0\r\r\nX-Bare: one\rtwo\nX-Last: J\xf6rg\r\n", body=b"\n\r\0\r\r\n\n\r"),
)
"""What no real server keeps all of: NUL, CR and LF that stand alone, CR CR LF, no octet at all."""
GERMAN = "namespace inbox {\n  mailbox Gesendet {\n    special_use = \\Sent\n  }\n}\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture(params=["directory", "s3"])
def either_site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """A site whose vault is in a directory, and one whose vault is on S3."""
    if request.param == "directory":
        return Site(tmp_path)
    s3: RcloneS3 = request.getfixturevalue("s3")
    return Site(tmp_path, place=open_store(s3.vault_url(f"b{token_hex(6)}/mail")))


@pytest.fixture
def exact() -> Iterator[InProcessServer]:
    """A server that gives every octet and every date as it was given it."""
    server = InProcessServer(GENERIC)
    yield server
    server.stop()


def fill(server: DovecotServer, user: str, names: Sequence[str] = MAILBOX_NAMES) -> None:
    """Give an account all that is hard to bring back."""
    deliver(server, user, "INBOX", [mail for mail in (*SERVABLE.values(), *TWINS) if b"\r\r\n" not in mail])
    with server.open(user) as imap:
        for role in ROLES:
            imap.create(role)
        flags = ("\\Seen", "\\Flagged", "$Forwarded", "Urgent")
        assert imap.append("Sent", plain_mail(1), flags, "29-Feb-2024 23:59:59 +0000").ok
        for name in names:
            imap.create(name, subscribe=True)
            assert imap.append(name, plain_mail(2), ("\\Draft",), "01-Jan-1999 00:00:01 +0530").ok
        imap.create("Never subscribed")


def roles(server: ImapServer, user: str) -> dict[str, str]:
    """Return the special uses that a server tells (RFC 6154), by mailbox."""
    with server.open(user) as imap:
        lines = [line[0].decode() for line in imap.do('LIST "" "*" RETURN (SPECIAL-USE)')]
    found = (re.fullmatch(rf'\* LIST \(.*(\\(?:{"|".join(ROLES)}))\b.*\) "." "?([^"]*)"?', line) for line in lines)
    return {match[2]: match[1] for match in found if match}


def test_all_comes_back_on_an_empty_server(start_dovecot: Callable[..., DovecotServer], either_site: Site) -> None:
    site, server, second = either_site, start_dovecot(location=FOLDERS), start_dovecot(location="mdbox:~/mdbox")
    user, heir = server.new_user().name, second.new_user().name
    names = (*MAILBOX_NAMES, *DOTTED_NAMES)
    fill(server, user, names)
    site.backup(account(server, user))
    report = restore(site, site.snapshot(user), to_server(second, heir), verify=True)
    assert (report.status, report.altered, report.failures) == ("complete", (), ())
    there = held(second, heir)
    assert there == held(server, user)
    assert report.verified == report.restored == sum(mails.total() for mails in there.values())
    assert roles(second, heir) == roles(server, user) == {name: f"\\{name}" for name in ROLES}
    with server.open(user) as old, second.open(heir) as new:
        assert new.names() == old.names()
        assert new.names("LSUB") == old.names("LSUB") == sorted(names)


def test_octets_that_no_real_server_keeps_come_back_where_one_does(exact: InProcessServer, either_site: Site) -> None:
    site, user, heir = either_site, exact.new_user().name, exact.new_user().name
    flags, dates = ((), ("\\Seen", "Later")), ("29-Feb-2024 23:59:59 +0530", " 1-Jan-1999 00:00:01 -0330")
    with exact.open(user) as imap:
        for number, mail in enumerate(WILD):
            assert imap.append("INBOX", mail, flags[number % 2], dates[number % 2]).ok
    assert only(site.backup(account(exact, user))).status == "complete"
    snapshot = site.snapshot(user)
    report = restore(site, snapshot, to_server(exact, heir), verify=True)
    assert (report.status, report.altered, report.failures) == ("complete", (), ())
    there = held(exact, heir)
    assert there == held(exact, user)
    assert Counter(text for text, _, _ in there["INBOX"].elements()) == Counter(WILD)
    assert report.verified == report.restored == len(WILD)
    again = restore(site, snapshot, to_server(exact, heir))
    assert (again.restored, again.skipped) == (0, len(WILD))


def test_an_empty_message_which_dovecot_serves_and_refuses_is_named_and_costs_no_other(
    dovecot: DovecotServer, second_dovecot: DovecotServer, site: Site
) -> None:
    user, heir = dovecot.new_user().name, second_dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [plain_mail(1), EMPTY, *TWINS])
    assert only(site.backup(account(dovecot, user))).status == "complete"
    snapshot = site.snapshot(user)
    assert EMPTY in [seen.octets for seen in site.contents(snapshot)["INBOX"]]
    first = restore(site, snapshot, to_server(second_dovecot, heir), verify=True)
    again = restore(site, snapshot, to_server(second_dovecot, heir), verify=True)
    assert (first.restored, again.restored, again.skipped) == (3, 0, 3)
    for report in (first, again):
        assert (report.status, report.verified, report.altered) == ("partial", 3, ())
        assert [(f.mailbox, f.uid, "zero byte" in f.reason) for f in report.failures] == [("INBOX", 2, True)]
    lacking = held(dovecot, user)["INBOX"] - held(second_dovecot, heir)["INBOX"]
    assert [text for text, _, _ in lacking.elements()] == [EMPTY]


def test_a_date_keeps_its_moment_on_a_server_in_another_zone_and_its_zone_in_the_vault(
    start_dovecot: Callable[..., DovecotServer], second_dovecot: DovecotServer, site: Site
) -> None:
    india, newfoundland = start_dovecot(zone="IST-5:30"), start_dovecot(zone="NST3:30")
    user = india.new_user().name
    told = {  # by India, Greenwich and Newfoundland
        1: ("01-Jan-2024 00:30:00 +0530", "31-Dec-2023 19:00:00 +0000", "31-Dec-2023 15:30:00 -0330"),
        2: ("17-Jul-1996 15:14:25 +0530", "17-Jul-1996 09:44:25 +0000", "17-Jul-1996 06:14:25 -0330"),
    }
    with india.open(user) as imap:
        for number, (_, moment, _) in told.items():
            assert imap.append("INBOX", plain_mail(number), (), moment).ok
    site.backup(account(india, user))
    snapshot, vault = site.snapshot(user), site.open()
    kept = [(seen.octets, seen.internaldate) for seen in site.contents(snapshot)["INBOX"]]
    assert kept == [(plain_mail(number), dates[0]) for number, dates in told.items()]

    for at, server in enumerate((india, second_dovecot, newfoundland)):
        heir = server.new_user().name
        report = restore(site, snapshot, to_server(server, heir), verify=True, vault=vault)
        assert (report.status, report.altered) == ("complete", ())
        assert held(server, heir)["INBOX"] == Counter((plain_mail(n), (), dates[at]) for n, dates in told.items())

    out = site.directory / "out"
    restore(site, snapshot, to_files(f"eml:{out}"), vault=vault)
    listed = [json.loads(line) for line in (out / "INBOX" / "messages.jsonl").read_text().splitlines()]
    assert {entry["uid"]: entry["internaldate"] for entry in listed} == {n: dates[0] for n, dates in told.items()}
    first = next(out.rglob("0000000001-*.eml"))
    assert first.stat().st_mtime == datetime(2023, 12, 31, 19, tzinfo=UTC).timestamp()


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
    assert before == held(dovecot, user)
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
    german = start_dovecot(extra=GERMAN)
    user, heir = dovecot.new_user().name, german.new_user().name
    deliver(dovecot, user, "Sent", [plain_mail(1)])
    with german.open(heir) as imap:
        imap.create("Gesendet")
    site.backup(account(dovecot, user))
    restore(site, site.snapshot(user), to_server(german, heir))
    assert len(held(german, heir)["Gesendet"]) == 1


def test_a_mailbox_that_is_made_anew_gets_its_role_where_the_server_gives_roles(
    start_dovecot: Callable[..., DovecotServer], cyrus: CyrusServer, site: Site
) -> None:
    german = start_dovecot(extra=GERMAN)
    user, heir = german.new_user().name, cyrus.new_user().name
    with german.open(user) as imap:
        for name in ("Gesendet", "Drafts", "Sonstiges"):
            imap.create(name)
    site.backup(account(german, user))
    report = restore(site, site.snapshot(user), to_server(cyrus, heir))
    assert (report.status, report.altered) == ("complete", ())
    assert roles(cyrus, heir) == roles(german, user) == {"Gesendet": "\\Sent", "Drafts": "\\Drafts"}


def test_a_role_that_the_server_does_not_give_is_told(
    start_dovecot: Callable[..., DovecotServer], dovecot: DovecotServer, site: Site
) -> None:
    german = start_dovecot(extra=GERMAN)
    user, heir = german.new_user().name, dovecot.new_user().name
    with german.open(user) as imap:
        for name in ("Gesendet", "Drafts"):
            imap.create(name)
    site.backup(account(german, user))
    report = restore(site, site.snapshot(user), to_server(dovecot, heir))
    assert report.status == "complete"
    told = [(one.mailbox, one.what) for one in report.altered]
    assert told == [("Gesendet", "the server does not keep its role \\Sent")]
    assert roles(dovecot, heir) == {"Drafts": "\\Drafts"}


@pytest.mark.parametrize(
    "source, target, names",
    [
        (
            {"location": FOLDERS},
            {"separator": ".", "prefix": "INBOX."},
            {name: "INBOX." + name.replace(".", "%2E").replace("/", ".") for name in DOTTED_NAMES},
        ),
        (
            {"separator": ".", "location": "mdbox:~/mdbox", "extra": "mail_plugins = $mail_plugins listescape\n"},
            {},
            {"Q1/Q2": "Q1%2FQ2", "Clients.A/S": "Clients/A%2FS"},
        ),
    ],
    ids=["dot", "slash"],
)
def test_a_name_that_holds_the_target_s_delimiter_stays_one_level_and_it_is_told(
    source: dict[str, str],
    target: dict[str, str],
    names: dict[str, str],
    start_dovecot: Callable[..., DovecotServer],
    site: Site,
) -> None:
    server, second = start_dovecot(**source), start_dovecot(**target)
    user, heir = server.new_user().name, second.new_user().name
    with server.open(user) as imap:
        for number, name in enumerate(names):
            imap.create(name)
            assert imap.append(name, plain_mail(number)).ok
    site.backup(account(server, user))
    report = restore(site, site.snapshot(user), to_server(second, heir), verify=True)
    assert (report.status, report.verified) == ("complete", len(names))
    assert {one.what for one in report.altered} == {f"its name becomes {there}" for there in names.values()}
    old, new = held(server, user), held(second, heir)
    assert {name: mails for name, mails in new.items() if mails} == {names[name]: old[name] for name in names}


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
