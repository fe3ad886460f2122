"""Providers that can't run here, played in process: what they can't keep is told message by message, all else is kept.

Simulated: see tests/servers/inprocess/providers.py for what it is built from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from imap.model import Login
from restante.targets import Address, open_address
from tests.backup.site import Site, account, only, served
from tests.corpus import plain_mail
from tests.restore.replay import held, restore, to_server
from tests.secret import new_secret
from tests.servers import DovecotServer, ImapServer
from tests.servers.inprocess import EXCHANGE, GENERIC, GMAIL, ICLOUD, YAHOO, InProcessServer
from tests.servers.inprocess.mail import TODAY, Provider
from tests.servers.inprocess.providers import UNAVAILABLE
from tests.servers.maildir import Mail, deliver

YAHOO_BY_THE_BOOK = replace(
    YAHOO, name="Yahoo! Inc., by the book", capabilities=f"{YAHOO.capabilities} CONDSTORE QRESYNC MESSAGELIMIT=2"
)
"""As its documents say it is, but with a smaller limit."""
LONG_LINE = plain_mail(90) + b"x" * 11_000 + b"\r\n"
Play = Callable[..., InProcessServer]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def play() -> Iterator[Play]:
    """Start servers that play a provider, with some of its traits changed."""
    with ExitStack() as stack:

        def start(provider: Provider, **changes: object) -> InProcessServer:
            server = InProcessServer(replace(provider, **changes))  # type: ignore[arg-type]
            stack.callback(server.stop)
            return server

        yield start


def filled(server: ImapServer, *boxes: tuple[str, list[Mail]]) -> str:
    """Make an account and fill it over IMAP."""
    user = server.new_user().name
    with server.open(user) as imap:
        for name, mails in boxes:
            if name not in imap.names():
                imap.create(name)
            for mail in mails:
                assert imap.append(name, mail.octets, mail.flags, "10-Mar-2019 04:05:06 +0000").ok
    return user


def mails(*numbers: int, flags: tuple[str, ...] = ()) -> list[Mail]:
    return [Mail(plain_mail(number), flags) for number in numbers]


NAMED_FOR_A_ROLE = {"Archive", "Drafts", "Junk", "Sent", "Trash"}
"""The mailboxes to which the tests' Dovecot gives a special use, and to no others."""


@pytest.mark.parametrize(
    "provider", [GENERIC, EXCHANGE, GMAIL, YAHOO, YAHOO_BY_THE_BOOK, ICLOUD], ids=lambda one: one.name
)
def test_what_a_provider_holds_goes_to_dovecot_whole_and_costs_nothing_the_second_time(
    provider: Provider, play: Play, site: Site, dovecot: DovecotServer
) -> None:
    server = play(provider)
    inbox = provider.inbox
    user = filled(server, (inbox, mails(1, 2, flags=("\\Seen",))), ("Work/2024", mails(3)), ("Empty", []))
    first = only(site.backup(account(server, user)))
    assert (first.status, first.new_messages, first.failures) == ("complete", 3, ())
    assert site.contents(site.snapshot(user)) == served(server, user)
    again = only(site.backup(account(server, user)))
    assert (again.snapshot, again.new_messages) == (first.snapshot, 0)
    heir = dovecot.new_user().name
    report = restore(site, site.snapshot(user), to_server(dovecot, heir), verify=True)
    assert report.status == "complete"
    lost = [(name, role) for name, role in provider.roles if role and name not in NAMED_FOR_A_ROLE]
    told = [(one.mailbox, one.what) for one in report.altered]
    assert told == [(name, f"the server does not keep its role {role}") for name, role in sorted(lost)]
    source, there = held(server, user), held(dovecot, heir)
    source["INBOX"] = source.pop(inbox)
    assert {name: box for name, box in there.items() if box} == {name: box for name, box in source.items() if box}


# Exchange


def to_exchange(play: Play, dovecot: DovecotServer, site: Site, **changes: object) -> tuple[InProcessServer, str, str]:
    """Back up a Dovecot account with what Exchange is known to dislike."""
    user = dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [*mails(1), *mails(2, flags=("\\Flagged", "\\Seen", "Projekt")), Mail(LONG_LINE)])
    for name in ("Plans", "PLANS", "Files"):
        deliver(dovecot, user, name, mails(10 + len(name), 20 + len(name) + name.isupper()))
    site.backup(account(dovecot, user))
    server = play(EXCHANGE, **changes)
    return server, user, server.new_user().name


def test_what_exchange_refuses_or_drops_is_told_and_all_else_is_there(
    play: Play, dovecot: DovecotServer, site: Site
) -> None:
    server, user, heir = to_exchange(play, dovecot, site)
    report = restore(site, site.snapshot(user), to_server(server, heir))
    refused = [(f.mailbox, "BAD" in f.reason or "Argument Error. 11" in f.reason) for f in report.failures]
    assert refused == [("INBOX", True)]
    told = Counter((one.mailbox, one.what) for one in report.altered)
    assert told["INBOX", "the server keeps no Projekt"] == 1
    there = held(server, heir)
    assert {flags for _, flags, _ in there["INBOX"]} == {(), ("\\Flagged", "\\Seen")}
    assert sum(box.total() for box in there.values()) == sum(box.total() for box in held(dovecot, user).values()) - 1
    again = restore(site, site.snapshot(user), to_server(server, heir))
    assert (again.restored, again.skipped, len(again.failures)) == (0, report.restored, 1)
    assert held(server, heir) == there


def test_mailboxes_whose_names_exchange_can_t_tell_apart_or_refuses_get_others_and_it_is_told(
    play: Play, dovecot: DovecotServer, site: Site
) -> None:
    server, user, heir = to_exchange(play, dovecot, site)
    report = restore(site, site.snapshot(user), to_server(server, heir))
    there = {name: box.total() for name, box in held(server, heir).items() if box}
    assert sorted(there.values()) == [2, 2, 2, 2]
    assert len({name.lower() for name in there}) == len(there)
    renamed = {one.mailbox for one in report.altered if "its name becomes" in one.what}
    assert "Files" in renamed
    assert len(renamed & {"Plans", "PLANS"}) == 1


def test_ten_errors_end_a_connection_and_the_restore_goes_on(play: Play, dovecot: DovecotServer, site: Site) -> None:
    user, server = dovecot.new_user().name, play(EXCHANGE)
    bad = [Mail(LONG_LINE + b"%d\r\n" % number) for number in range(13)]
    deliver(dovecot, user, "INBOX", [*mails(1, 2), *bad, *mails(3, 4)])
    site.backup(account(dovecot, user))
    heir = server.new_user().name
    report = restore(site, site.snapshot(user), to_server(server, heir))
    assert (report.status, report.restored, len(report.failures)) == ("partial", 4, 13)
    assert {octets for octets, _, _ in held(server, heir)["INBOX"]} == {plain_mail(n) for n in (1, 2, 3, 4)}


@pytest.mark.parametrize("every", [19, 20, 23])
def test_throttling_is_waited_out_in_both_directions(
    every: int, play: Play, dovecot: DovecotServer, site: Site
) -> None:
    server = play(EXCHANGE)
    user = filled(server, ("INBOX", mails(1, 2, 3)), ("Work", mails(4, 5)))
    whole = held(server, user)
    slow = play(EXCHANGE, throttle_each=every)
    slow.users, slow.accounts = server.users, server.accounts
    for one in slow.accounts.values():
        one.provider = slow.provider
    report = only(site.backup(account(slow, user)))
    assert (report.status, report.new_messages) == ("complete", 5)
    heir = slow.new_user().name
    assert restore(site, site.snapshot(user), to_server(slow, heir)).status == "complete"
    assert held(server, heir) == {**{name: Counter() for name in whole}, **whole}


def test_a_shared_mailbox_is_reached_by_its_login_name(play: Play, site: Site) -> None:
    server = play(EXCHANGE)
    shared = server.new_user("anna@example.test\\office").name
    with server.open(shared) as imap:
        imap.append("INBOX", plain_mail(1))
    report = only(site.backup(account(server, shared)))
    assert (report.status, report.new_messages) == ("complete", 1)


def test_exchange_lets_in_who_has_a_token(play: Play, site: Site) -> None:
    server = play(EXCHANGE)
    user, token = server.new_user().name, new_secret()
    server.tokens[user] = token
    source = replace(account(server, user), login=Login(lambda: token, oauth=True))
    assert only(site.backup(source)).status == "complete"


# Gmail


def test_a_message_with_many_labels_is_read_once(play: Play, site: Site) -> None:
    server = play(GMAIL)
    user = filled(server, ("INBOX", mails(1, 2)), ("Work", mails(2, 3)), ("Home/2024", mails(3)))
    report = only(site.backup(account(server, user)))
    assert (report.status, report.new_messages, report.linked_messages) == ("complete", 3, 5)
    contents = site.contents(site.snapshot(user))
    assert {name: len(found) for name, found in contents.items() if found} == {
        "INBOX": 2, "Work": 2, "Home/2024": 1, "[Gmail]/All Mail": 3,
    }  # fmt: skip


def test_labels_come_back_on_a_new_gmail_account_with_each_message_there_once(play: Play, site: Site) -> None:
    server = play(GMAIL)
    user = filled(server, ("INBOX", mails(1, 2)), ("Work", mails(2, 3)))
    site.backup(account(server, user))
    heir = server.new_user().name
    for run in range(2):
        report = restore(site, site.snapshot(user), to_server(server, heir))
        assert report.status == "complete"
        assert held(server, heir) == held(server, user), run


def test_names_and_octets_that_gmail_refuses_are_told(play: Play, site: Site) -> None:
    source, server = play(GENERIC), play(GMAIL)
    user = filled(source, ("INBOX", [*mails(1), Mail(plain_mail(2) + b"\0\r\n")]), ("two  blanks", mails(3)))
    site.backup(account(source, user))
    heir = server.new_user().name
    report = restore(site, site.snapshot(user), to_server(server, heir))
    assert [(f.mailbox, "Invalid character in literal" in f.reason) for f in report.failures] == [("INBOX", True)]
    assert ["its name becomes" in one.what for one in report.altered] == [True]
    assert held(server, heir)["[Gmail]/All Mail"].total() == 2


def test_gmail_s_daily_bandwidth_limit_leaves_a_partial_snapshot_that_the_next_run_completes(
    play: Play, site: Site
) -> None:
    server = play(GMAIL)
    user = filled(server, ("INBOX", mails(*range(8))), ("Work", mails(20, 21)))
    limited = play(GMAIL, throttle_each=9)
    limited.users, limited.accounts = server.users, server.accounts
    site.options = replace(site.options, patience_seconds=0.1)
    report = only(site.backup(account(limited, user)))
    assert report.status in ("partial", "failed")
    assert any("OVERQUOTA" in f.reason or "bandwidth" in f.reason for f in report.failures), report.failures
    assert only(site.backup(account(server, user))).status == "complete"
    assert site.contents(site.snapshot(user)) == served(server, user)


# Yahoo


def crowd(server: InProcessServer, user: str, count: int) -> None:
    """Put so many small messages into the inbox."""
    mine = server.accounts[user]
    box = mine.open("INBOX")
    for number in range(count):
        mine.store(box, b"Subject: %d\r\n\r\n%d\r\n" % (number, box.uidnext), set(), TODAY)


def now_offering(server: InProcessServer, capabilities: str) -> None:
    """Let a server offer other capabilities, with what it holds."""
    server.provider = replace(server.provider, capabilities=capabilities, before_login=capabilities)
    for one in server.accounts.values():
        one.provider = server.provider


def subjects(site: Site, user: str) -> set[bytes]:
    return {seen.octets for seen in site.contents(site.snapshot(user))["Inbox"]}


def test_yahoo_s_cap_makes_a_snapshot_partial_and_uidonly_makes_it_whole(play: Play, site: Site) -> None:
    server = play(YAHOO)
    now_offering(server, YAHOO.capabilities.replace("UIDONLY", ""))
    user = server.new_user().name
    crowd(server, user, 10_003)
    report = only(site.backup(account(server, user)))
    assert (report.status, report.new_messages) == ("partial", 10_000)
    assert ["only the newest 10,000" in f.reason for f in report.failures] == [True]
    first = subjects(site, user)
    # New mail pushes some out of sight: they are not gone, and stay in the snapshots.
    crowd(server, user, 5)
    report = only(site.backup(account(server, user)))
    assert (report.status, report.new_messages) == ("partial", 5)
    assert first < subjects(site, user)
    now_offering(server, YAHOO.capabilities)
    report = only(site.backup(account(server, user)))
    assert (report.status, report.new_messages, report.failures) == ("complete", 3, ())
    assert len(subjects(site, user)) == 10_008


def test_what_was_deleted_in_sight_of_a_capped_view_is_gone(play: Play, site: Site) -> None:
    server = play(YAHOO, capabilities=YAHOO.capabilities.replace("UIDONLY", ""))
    user = server.new_user().name
    crowd(server, user, 10_001)
    site.backup(account(server, user))
    mine = server.accounts[user]
    mine.expunge(mine.open("INBOX"), {9_000})
    site.backup(account(server, user))
    kept = subjects(site, user)
    assert len(kept) == 10_000
    assert b"Subject: 8999\r\n\r\n9000\r\n" not in kept


@pytest.mark.parametrize("without", ["", "QRESYNC"])
def test_mailboxes_larger_than_a_server_s_limit_are_listed_by_pages_and_followed_to_the_end(
    without: str, play: Play, site: Site
) -> None:
    server = play(YAHOO_BY_THE_BOOK)
    now_offering(server, server.provider.capabilities.replace(without or " ", " "))
    user = server.new_user().name
    crowd(server, user, 11)
    report = only(site.backup(account(server, user)))
    assert (report.status, report.new_messages) == ("complete", 11)
    mine = server.accounts[user]
    box = mine.open("INBOX")
    with server.open(user) as imap:
        imap.do("SELECT Inbox")
        for uids in ("1:2", "3:4", "5:6", "7:8"):
            imap.do(f"UID STORE {uids} +FLAGS (\\Seen)")
    mine.expunge(box, {3, 10})
    crowd(server, user, 3)
    report = only(site.backup(account(server, user)))
    assert (report.status, report.new_messages, report.failures) == ("complete", 3, ())
    there = [(entry.uid, tuple(sorted(entry.flags)), entry.message.octets) for entry in box.entries]
    assert [(s.uid, s.flags, s.octets) for s in site.contents(site.snapshot(user))["Inbox"]] == there


@pytest.mark.parametrize("capabilities", [YAHOO.capabilities, f"{YAHOO.capabilities} MESSAGELIMIT=3"])
def test_without_mod_sequences_every_flag_is_compared_within_the_limit(
    capabilities: str, play: Play, site: Site
) -> None:
    server = play(YAHOO, capabilities=capabilities, before_login=capabilities)
    user = server.new_user().name
    crowd(server, user, 10)
    site.backup(account(server, user))
    box = server.accounts[user].open("INBOX")
    for entry in box.entries[:4]:
        entry.flags.add("\\Flagged")
    assert only(site.backup(account(server, user))).status == "complete"
    assert [s.flags for s in site.contents(site.snapshot(user))["Inbox"]] == 4 * [("\\Flagged",)] + 6 * [()]


def test_a_message_that_yahoo_never_gives_is_named_and_costs_no_other(play: Play, site: Site) -> None:
    server = play(YAHOO, reluctant=lambda octets: UNAVAILABLE if octets == plain_mail(3) else "")
    user = filled(server, ("Inbox", mails(1, 2, 3, 4, 5)))
    report = only(site.backup(account(server, user)))
    assert (report.status, report.new_messages) == ("partial", 4)
    assert [(f.mailbox, f.uid, "UNAVAILABLE" in f.reason) for f in report.failures] == [("Inbox", 3, True)]


def test_yahoo_s_server_errors_are_waited_out(play: Play, site: Site) -> None:
    server = play(YAHOO)
    user = filled(server, ("Inbox", mails(1, 2, 3)), ("Work", mails(4)))
    slow = play(YAHOO, throttle_each=9)
    slow.users, slow.accounts = server.users, server.accounts
    for one in slow.accounts.values():
        one.provider = slow.provider
    report = only(site.backup(account(slow, user)))
    assert (report.status, report.new_messages) == ("complete", 4)


def test_a_message_without_a_last_line_end_is_refused_by_yahoo_and_named(
    play: Play, dovecot: DovecotServer, site: Site
) -> None:
    user, server = dovecot.new_user().name, play(YAHOO)
    deliver(dovecot, user, "INBOX", [*mails(1), Mail(plain_mail(2).rstrip())])
    site.backup(account(dovecot, user))
    heir = server.new_user().name
    for restored in (1, 0):
        report = restore(site, site.snapshot(user), to_server(server, heir))
        assert (report.status, report.restored) == ("partial", restored)
        assert [(f.mailbox, "[CLIENTBUG]" in f.reason or "Additional" in f.reason) for f in report.failures] == [
            ("INBOX", True)
        ]
    assert [octets for octets, _, _ in held(server, heir)["Inbox"]] == [plain_mail(1)]


def test_what_is_there_is_seen_whole_as_a_restore_to_yahoo_goes_on(
    play: Play, dovecot: DovecotServer, site: Site
) -> None:
    user, server = dovecot.new_user().name, play(YAHOO_BY_THE_BOOK, shows=4)
    deliver(dovecot, user, "INBOX", mails(*range(12)))
    site.backup(account(dovecot, user))
    heir = server.new_user().name
    first = restore(site, site.snapshot(user), to_server(server, heir))
    again = restore(site, site.snapshot(user), to_server(server, heir), verify=True)
    assert (first.restored, again.restored, again.skipped, again.status) == (12, 0, 12, "complete")
    assert len(server.accounts[heir].open("INBOX").entries) == 12


def test_a_mailbox_that_does_not_show_all_that_it_holds_is_not_restored_into(
    play: Play, dovecot: DovecotServer, site: Site
) -> None:
    user = dovecot.new_user().name
    server = play(YAHOO, capabilities=YAHOO.capabilities.replace("UIDONLY", ""))
    deliver(dovecot, user, "INBOX", mails(1))
    deliver(dovecot, user, "Work", mails(2))
    site.backup(account(dovecot, user))
    heir = server.new_user().name
    crowd(server, heir, 10_001)
    report = restore(site, site.snapshot(user), to_server(server, heir))
    assert (report.status, report.restored) == ("partial", 1)
    assert [(f.mailbox, "shows only 10,000" in f.reason) for f in report.failures] == [("INBOX", True)]
    assert len(server.accounts[heir].open("INBOX").entries) == 10_001


# iCloud


def test_icloud_is_asked_for_bodies_and_lists_in_the_only_ways_that_it_answers(play: Play, site: Site) -> None:
    server = play(ICLOUD)
    user = filled(server, ("INBOX", mails(1, 2, 3)))
    server.heard.clear()
    assert only(site.backup(account(server, user))).status == "complete"
    assert not server.commands(r"UID SEARCH RETURN|(UID )?FETCH \S+ \(?RFC822\b(?!\.SIZE)")
    assert not server.commands(r"FETCH ")
    enabled, examined = (server.heard.index(server.commands(verb)[0]) for verb in ("ENABLE", "EXAMINE"))
    assert enabled < examined


def test_what_icloud_enabled_without_a_word_is_used(play: Play, site: Site) -> None:
    server = play(ICLOUD)
    user = filled(server, ("INBOX", mails(*range(6))))
    site.backup(account(server, user))
    mine = server.accounts[user]
    box = mine.open("INBOX")
    with server.open(user) as imap:
        imap.do("SELECT INBOX")
        imap.do("UID STORE 2 +FLAGS (\\Answered)")
    mine.expunge(box, {4})
    server.heard.clear()
    assert only(site.backup(account(server, user))).status == "complete"
    assert server.commands(r"EXAMINE \S+ \(QRESYNC")
    assert not server.commands("UID (SEARCH|FETCH)")
    seen = site.contents(site.snapshot(user))["INBOX"]
    assert [(one.uid, one.flags) for one in seen] == [(1, ()), (2, ("\\Answered",)), (3, ()), (5, ()), (6, ())]


@pytest.mark.parametrize("provider", [YAHOO, ICLOUD], ids=lambda one: one.name)
def test_dovecot_s_mail_goes_there_with_its_flags_and_not_twice(
    provider: Provider, play: Play, dovecot: DovecotServer, site: Site
) -> None:
    user, server = dovecot.new_user().name, play(provider)
    deliver(dovecot, user, "INBOX", [*mails(1, 2, flags=("\\Seen", "\\Flagged")), *mails(3)])
    deliver(dovecot, user, "Work.2024", mails(4, 5, 6))
    site.backup(account(dovecot, user))
    heir = server.new_user().name
    for run in range(2):
        report = restore(site, site.snapshot(user), to_server(server, heir), verify=True)
        assert (report.status, report.restored) == ("complete", 0 if run else 6)
    there = {name.upper(): box for name, box in held(server, heir).items() if box}
    assert there == {name.upper().replace(".", "/"): box for name, box in held(dovecot, user).items() if box}


@pytest.mark.parametrize("kept", [True, False])
def test_mail_can_be_restored_without_asking_for_read_receipts_where_the_server_keeps_the_mark(
    kept: bool,
    play: Play,
    site: Site,
) -> None:
    source = play(GENERIC)
    user = filled(source, ("INBOX", [*mails(1, flags=("\\Seen",)), *mails(2, flags=("$MDNSent",)), *mails(3)]))
    site.backup(account(source, user))
    server = play(GENERIC) if kept else play(GENERIC, permanent=("\\Seen", "\\Flagged"))
    heir = server.new_user().name
    login = Login(lambda: server.password(heir))
    target = open_address(Address(server.url(heir), login), site.directory, receipts=False)
    report = restore(site, site.snapshot(user), target)
    flags = Counter(flags for _, flags, _ in held(server, heir)["INBOX"].elements())
    if kept:
        assert flags == Counter([("$MDNSent", "\\Seen"), ("$MDNSent",), ("$MDNSent",)])
        assert not report.altered
    else:
        assert flags == Counter([("\\Seen",), (), ()])
        assert ["$MDNSent" in one.what for one in report.altered] == [True]
