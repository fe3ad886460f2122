"""POP3 as a source: one mailbox, octets as they are, nothing read twice, nothing deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup import AccountReport, SourceAccount
from imap.dates import received_date
from imap.errors import ImapError, UntrustedCertificate
from imap.model import Login
from imap.pop import Numbering, open_pop
from imap.url import parse_url
from tests.backup.site import Site, only, served
from tests.corpus import MESSAGES, plain_mail
from tests.restore.replay import held, restore, to_server
from tests.servers import CourierServer, DovecotServer
from tests.servers.inprocess.pop import HANG_UP, PopServer, pop_server
from tests.servers.maildir import deliver
from tests.servers.pop import PopDovecot


@pytest.fixture(scope="module")
def pop() -> Iterator[PopDovecot]:
    server = PopDovecot()
    yield server
    server.imap.remove()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def octets_of(site: Site, user: str) -> Counter[bytes]:
    return Counter(seen.octets for seen in site.contents(site.snapshot(user))["INBOX"])


def test_every_octet_comes_and_a_second_run_reads_nothing(pop: PopDovecot, site: Site) -> None:
    user = pop.imap.new_user().name
    deliver(pop.imap, user, "INBOX", list(MESSAGES.values()))
    before = served(pop.imap, user)
    first = only(site.backup(pop.source(user)))
    assert (first.status, first.new_messages, first.failures) == ("complete", len(MESSAGES), ())
    again = only(site.backup(pop.source(user)))
    assert (again.snapshot, again.new_messages) == (first.snapshot, 0)
    assert again.downloaded_octets < 100 * len(MESSAGES)
    assert served(pop.imap, user) == before
    assert octets_of(site, user) == Counter(pop.told(user, len(MESSAGES)))


def test_courier_s_pop3_gives_every_octet_and_a_second_run_reads_nothing(courier: CourierServer, site: Site) -> None:
    user = courier.new_user().name
    mails = [mail for mail in MESSAGES.values() if b"\0" not in mail and mail.endswith(b"\r\n")]
    with courier.open(user) as imap:
        for mail in mails:
            imap.append("INBOX", mail)
        shown = Counter(seen.octets for seen in imap.messages("INBOX"))
    url = f"pop3://{user}@127.0.0.1:{courier.pop_port}?tls=off"
    source = SourceAccount(user, parse_url(url), Login(lambda: courier.password(user)))
    first, again = only(site.backup(source)), only(site.backup(source))
    assert (first.status, first.failures) == ("complete", ())
    assert (again.snapshot, again.new_messages) == (first.snapshot, 0)
    assert octets_of(site, user) == shown


def test_what_is_gone_goes_what_is_new_comes_and_the_rest_is_not_read_again(pop: PopDovecot, site: Site) -> None:
    user = pop.imap.new_user().name
    deliver(pop.imap, user, "INBOX", [plain_mail(n) for n in range(5)])
    site.backup(pop.source(user))
    with pop.imap.open(user) as imap:
        imap.do("SELECT INBOX")
        imap.do("STORE 2,5 +FLAGS (\\Deleted)")
        imap.do("EXPUNGE")
        imap.append("INBOX", plain_mail(9))
    report = only(site.backup(pop.source(user)))
    assert (report.status, report.new_messages, report.messages) == ("complete", 1, 4)
    assert octets_of(site, user) == Counter(plain_mail(n) for n in (0, 2, 3, 9))
    uids = [seen.uid for seen in site.contents(site.snapshot(user))["INBOX"]]
    assert uids == [1, 3, 4, 6]


@pytest.mark.parametrize("form", ["pop3s://{user}@127.0.0.1:{tls}?ca={ca}", "pop3://{user}@127.0.0.1:{port}?ca={ca}"])
def test_tls_from_the_start_or_by_stls(pop: PopDovecot, site: Site, form: str) -> None:
    user = pop.imap.new_user().name
    deliver(pop.imap, user, "INBOX", [plain_mail(1)])
    url = form.format(user=user, port=pop.port, tls=pop.tls_port, ca=pop.imap.ca)
    assert only(site.backup(pop.source(user, url))).status == "complete"
    distrusted = pop.source(user, url.partition("?")[0])
    with pytest.raises(UntrustedCertificate):
        open_pop(distrusted.endpoint, distrusted.login, Numbering({}, 1, bytes), timeout=10)


def test_an_account_of_pop3_is_restored_to_imap_with_the_dates_of_its_received_lines(
    pop: PopDovecot, site: Site, second_dovecot: DovecotServer
) -> None:
    user, heir = pop.imap.new_user().name, second_dovecot.new_user().name
    mail = b"Received: from a by b; Fri, 1 Mar 2024 10:00:00 +0100\r\nReceived: by c; Thu, 29 Feb 2024 1:2:3 +0000\r\n"
    deliver(pop.imap, user, "INBOX", [mail + plain_mail(1), plain_mail(2)])
    site.backup(pop.source(user))
    report = restore(site, site.snapshot(user), to_server(second_dovecot, heir), verify=True)
    assert (report.status, report.restored, report.altered) == ("complete", 2, ())
    assert {octets for octets, _, _ in held(second_dovecot, heir)["INBOX"]} == {mail + plain_mail(1), plain_mail(2)}
    (dated,) = (s for s in site.contents(site.snapshot(user))["INBOX"] if s.octets.startswith(b"Received"))
    assert dated.internaldate == "01-Mar-2024 10:00:00 +0100"


# Servers that can less, or break.


def run(site: Site, server: PopServer) -> AccountReport:
    source = SourceAccount("anna", server.endpoint, Login(lambda: server.password))
    return only(site.backup(source))


def mails(*numbers: int) -> list[tuple[bytes, bytes]]:
    return [(b"uidl-%d" % number, plain_mail(number)) for number in numbers]


def test_a_server_that_numbers_its_messages_anew_costs_reading_but_loses_nothing(site: Site) -> None:
    with pop_server(mails(1, 2, 3)) as server:
        assert run(site, server).new_messages == 3
        server.mails = [(b"other-" + uidl, octets) for uidl, octets in server.mails]
        again = run(site, server)
    assert (again.status, again.new_messages, again.known_messages, again.messages) == ("complete", 0, 3, 3)
    assert octets_of(site, "anna") == Counter(octets for _, octets in mails(1, 2, 3))


@pytest.mark.parametrize("how", ["no UIDL", "the same for two"])
def test_messages_without_a_name_of_their_own_are_read_in_each_run_and_it_is_told(site: Site, how: str) -> None:
    twice = [(b"same", plain_mail(1)), (b"same", plain_mail(2)), (b"other", plain_mail(3))]
    without = frozenset({b"UIDL"}) if how == "no UIDL" else frozenset[bytes]()
    with pop_server(twice, without=without) as server:
        for number in range(2):
            report = run(site, server)
            assert report.status == "complete"
            assert any("no UIDL of their own" in alarm for alarm in report.alarms)
            assert octets_of(site, "anna") == Counter(octets for _, octets in twice), number


def test_a_message_that_is_refused_is_named_and_the_others_come(site: Site) -> None:
    def answers(command: bytes) -> bytes | None:
        return b"-ERR message is broken\r\n" if command == b"RETR 2" else None

    with pop_server(mails(1, 2, 3), answers) as server:
        report = run(site, server)
        assert (report.status, report.new_messages) == ("partial", 2)
        assert [(f.mailbox, f.uid) for f in report.failures] == [("INBOX", 2)]
        assert "message is broken" in report.failures[0].reason
        server.answers = lambda _: None
        assert run(site, server).status == "complete"
    assert octets_of(site, "anna") == Counter(octets for _, octets in mails(1, 2, 3))


def test_what_top_gives_short_is_asked_for_again(site: Site) -> None:
    with pop_server(mails(1, 2)) as server:
        server.offers = (b"TOP", b"UIDL")
        server.answers = lambda command: b"+OK\r\nSubject: cut\r\n.\r\n" if command.startswith(b"TOP 2") else None
        report = run(site, server)
    assert (report.status, report.new_messages) == ("complete", 2)
    assert octets_of(site, "anna") == Counter(octets for _, octets in mails(1, 2))


def test_a_connection_that_breaks_within_a_message_is_made_again(site: Site) -> None:
    cuts = iter([b"+OK\r\nSubject: half\r\n" + HANG_UP])
    with pop_server(mails(1, 2, 3)) as server:
        server.answers = lambda command: next(cuts, None) if command == b"RETR 2" else None
        report = run(site, server)
        assert (report.status, report.new_messages) == ("complete", 3)
    assert octets_of(site, "anna") == Counter(octets for _, octets in mails(1, 2, 3))


def test_a_mailbox_that_somebody_else_reads_meanwhile_is_waited_for(site: Site) -> None:
    with pop_server(mails(1, 2)) as server:
        script = {b"RETR": iter([HANG_UP]), b"PASS": iter([b"+OK\r\n", b"-ERR [IN-USE] locked\r\n"])}
        server.answers = lambda command: next(script.get(command[:4], iter(())), None)
        report = run(site, server)
        assert (report.status, report.new_messages) == ("complete", 2)
        assert server.heard.count(b"PASS") == 3


def test_nothing_is_ever_deleted(site: Site) -> None:
    with pop_server(mails(1, 2)) as server:
        run(site, server)
        assert not [command for command in server.heard if command.startswith((b"DELE", b"RSET"))]


@pytest.mark.parametrize(
    "answer", [b"nonsense\r\n", b"", b"+OK\r\n1 x\r\n\xff y\r\n.\r\n", b"+OK\r\n1 5\r\n" + HANG_UP]
)
def test_an_answer_that_can_t_be_read_ends_in_one_line_and_changes_nothing(site: Site, answer: bytes) -> None:
    with pop_server(mails(1)) as server:
        good = run(site, server)
        site.options = replace(site.options, patience_seconds=0.1, timeout_seconds=0.5)
        server.answers = lambda command: answer if command == b"LIST" else None
        report = run(site, server)
    assert report.status == "failed"
    assert site.snapshot("anna").id == good.snapshot


def test_a_port_that_speaks_something_else_is_told(second_dovecot: DovecotServer) -> None:
    endpoint = replace(parse_url("pop3://anna@127.0.0.1?tls=off"), port=second_dovecot.port)
    with pytest.raises(ImapError, match="does not answer as a POP3 server"):
        open_pop(endpoint, Login(lambda: "x"), Numbering({}, 1, bytes), timeout=5)


@given(st.lists(st.lists(st.binary(min_size=1, max_size=2), max_size=6, unique=True), max_size=6))
def test_a_message_keeps_its_uid_for_as_long_as_it_is_there(runs: list[list[bytes]]) -> None:
    known: dict[bytes, int] = {}
    uidnext = 1
    for names in runs:
        numbering = Numbering(dict(known), uidnext, bytes)
        uids = dict(zip(names, numbering.number(names), strict=True))
        assert numbering.number(names) == list(uids.values())
        assert len(set(uids.values())) == len(names)
        assert all(uids[name] == known[name] for name in uids.keys() & known.keys())
        assert all(uids[name] >= uidnext for name in uids.keys() - known.keys())
        known, uidnext = uids, numbering.uidnext


@given(st.binary(max_size=300))
def test_no_header_is_too_odd_to_look_for_a_date(junk: bytes) -> None:
    assert isinstance(received_date(b"Received: x;" + junk + b"\r\nDate: " + junk), str)
