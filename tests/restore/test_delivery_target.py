"""Delivery by LMTP and SMTP: to the account alone, once, octets as they are where the protocol lets them."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imap.errors import CannotConnect, LoginRefused
from imap.model import Endpoint, Login
from imap.url import parse_delivery_url
from restore import RestoreReport
from restore.errors import RestoreTrouble
from restore.targets.delivery import DeliveryTarget
from restore.targets.recipient import recipient_of
from tests.backup.site import Site, account
from tests.corpus import MESSAGES, plain_mail
from tests.restore.replay import restore
from tests.secret import new_secret
from tests.servers import CyrusServer, DovecotServer, PostfixServer
from tests.servers.maildir import Mail, deliver
from tests.servers.postfix import dovecot_lmtp
from tests.servers.process import free_ports, wait_for
from tests.servers.smtp import mailroom

ADDED = re.compile(
    rb"\A(?:(?:Return-Path|Delivered-To|Received|X-Sieve|X-Cyrus-Session-Id):.*\r\n(?:[ \t].*\r\n)*)+", re.IGNORECASE
)
STRANGER = b"To: someone.else@correspondent.invalid\r\nCc: all@correspondent.invalid\r\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def lmtp() -> Iterator[tuple[DovecotServer, int]]:
    """A Dovecot that takes mail by LMTP, and its port."""
    (port,) = free_ports(1)
    server = DovecotServer.start(extra=dovecot_lmtp(port))
    yield server, port
    server.remove()


def backed_up(site: Site, dovecot: DovecotServer, boxes: dict[str, list[bytes]]) -> str:
    user = dovecot.new_user().name
    for name, mails in boxes.items():
        deliver(dovecot, user, name, [Mail(mail, ("\\Seen",)) for mail in mails])
    site.backup(account(dovecot, user))
    return user


@pytest.fixture
def kept(dovecot: DovecotServer, site: Site) -> tuple[Site, str]:
    """A vault with one mail of one account, and the account."""
    return site, backed_up(site, dovecot, {"INBOX": [plain_mail(1)]})


def hand_over(site: Site, user: str, url: str, **more: float) -> RestoreReport:
    target = DeliveryTarget(parse_delivery_url(url), None, site.directory / "ledgers", **more)
    return restore(site, site.snapshot(user), target)


def bodies(server: DovecotServer | CyrusServer, user: str) -> Counter[bytes]:
    """Return what came, without the lines that a delivery puts on top."""
    with server.open(user) as imap:
        came = [seen.octets for seen in imap.messages("INBOX")]
    return Counter(ADDED.sub(b"", octets) for octets in came)


def test_lmtp_brings_every_mailbox_to_the_account_and_a_second_run_brings_nothing(
    lmtp: tuple[DovecotServer, int], dovecot: DovecotServer, site: Site
) -> None:
    server, port = lmtp
    mails = {"INBOX": [STRANGER + plain_mail(1), plain_mail(2, body=b".\r\n..dots\r\n")], "Work": [plain_mail(3)]}
    user, heir = backed_up(site, dovecot, mails), server.new_user().name
    bystander = server.new_user("someone.else@correspondent.invalid").name
    url = f"lmtp://{heir}@127.0.0.1:{port}?tls=off"
    report = hand_over(site, user, url)
    assert (report.status, report.restored) == ("complete", 3)
    assert any("flags, dates and mailboxes are lost" in one.what for one in report.altered)
    assert bodies(server, heir) == Counter([*mails["INBOX"], *mails["Work"]])
    assert not bodies(server, bystander)
    again = hand_over(site, user, url)
    assert (again.restored, again.skipped) == (0, 3)
    assert any("was delivered before" in one.what for one in again.altered)
    assert bodies(server, heir).total() == 3


def test_every_message_arrives_as_it_was_or_is_named_as_one_that_can_t(
    lmtp: tuple[DovecotServer, int], dovecot: DovecotServer, site: Site
) -> None:
    server, port = lmtp
    user, heir = backed_up(site, dovecot, {"INBOX": list(MESSAGES.values())}), server.new_user().name
    report = hand_over(site, user, f"lmtp://{heir}@127.0.0.1:{port}?tls=off")
    with dovecot.open(user) as imap:
        kept = {seen.uid: seen.octets for seen in imap.messages("INBOX")}
    refused = {failure.uid for failure in report.failures}
    assert refused == {uid for uid, octets in kept.items() if re.search(rb"\0|\r(?!\n)", octets)}
    assert bodies(server, heir) == Counter(octets for uid, octets in kept.items() if uid not in refused)


def test_cyrus_takes_mail_by_lmtp(cyrus: CyrusServer, dovecot: DovecotServer, site: Site) -> None:
    user, heir = backed_up(site, dovecot, {"INBOX": [plain_mail(1), plain_mail(2)]}), cyrus.new_user().name
    report = hand_over(site, user, f"lmtp://{heir}@127.0.0.1:{cyrus.lmtp_port}?tls=off")
    assert (report.status, report.restored) == ("complete", 2)
    assert bodies(cyrus, heir) == Counter([plain_mail(1), plain_mail(2)])


def test_postfix_takes_mail_by_smtp_and_delivers_it_to_the_account_alone(
    start_postfix: Callable[[int], PostfixServer], lmtp: tuple[DovecotServer, int], dovecot: DovecotServer, site: Site
) -> None:
    server, port = lmtp
    postfix, heir = start_postfix(port), server.new_user().name
    mails = [STRANGER + plain_mail(1), plain_mail(2, body=b"From me\r\n.\r\n")]
    user = backed_up(site, dovecot, {"INBOX": mails})
    report = hand_over(site, user, f"smtp://{heir}@127.0.0.1:{postfix.port}?tls=off")
    assert (report.status, report.restored) == ("complete", 2)
    wait_for(lambda: bodies(server, heir).total() == 2, 30, postfix.story)
    assert bodies(server, heir) == Counter(mails)


# Servers that refuse, or are busy, or break.


class Scripted:
    """An SMTP server that answers as told; `recipients` are the envelopes it saw."""

    def __init__(self, answers: Callable[[str, int], str | None]) -> None:
        self.recipients: list[str] = []
        self.senders: list[str] = []
        self.taken: list[bytes] = []
        self._answers = answers
        self._count: Counter[str] = Counter()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as reader:
            connection.sendall(b"220 ready\r\n")
            for line in reader:
                verb = line[:4].decode().upper().strip()
                self._count[verb] += 1
                if verb == "DATA":
                    connection.sendall(b"354 go on\r\n")
                    octets = b"".join(iter(reader.readline, b".\r\n"))
                    answer = self._answers("END", self._count[verb])
                    if answer is None:
                        self.taken.append(octets)
                else:
                    if verb == "BDAT":  # RFC 3030 §2
                        self.taken.append(reader.read(int(line.split()[1])))
                    answer = self._answers(verb, self._count[verb])
                if verb == "MAIL":
                    self.senders.append(line.decode().strip())
                if verb == "RCPT":
                    self.recipients.append(line.decode().strip())
                if answer == "":
                    return
                greeting = "250-here\r\n250 8BITMIME" if verb == "EHLO" else "250 ok"
                connection.sendall((answer or greeting).encode() + b"\r\n")


@contextmanager
def answering(answers: Callable[[str, int], str | None]) -> Iterator[Scripted]:
    server = Scripted(answers)
    try:
        yield server
    finally:
        server.close()


def test_a_busy_server_is_asked_again_and_a_refusal_is_told_with_its_words(dovecot: DovecotServer, site: Site) -> None:
    user = backed_up(site, dovecot, {"INBOX": [plain_mail(1), plain_mail(2)]})
    told = {1: "451 4.7.1 come back", 3: "552 5.3.4 too big for me"}
    with answering(lambda verb, count: told.get(count) if verb == "END" else None) as server:
        target = DeliveryTarget(
            parse_delivery_url(f"smtp://{user}@127.0.0.1:{server.port}?tls=off"), None, site.directory / "ledgers"
        )
        target.connections = 1
        report = restore(site, site.snapshot(user), target)
        assert (report.status, report.restored, len(server.taken)) == ("partial", 1, 1)
        assert ["552 5.3.4 too big for me" in failure.reason for failure in report.failures] == [True]
        assert {line.upper() for line in server.recipients} == {f"RCPT TO:<{user}>".upper()}


def test_an_answer_that_never_came_is_told_and_the_message_is_sent_by_the_next_run(
    dovecot: DovecotServer, site: Site
) -> None:
    user = backed_up(site, dovecot, {"INBOX": [plain_mail(1)]})
    with answering(lambda verb, count: "" if (verb, count) == ("END", 1) else None) as server:
        url = f"smtp://{user}@127.0.0.1:{server.port}?tls=off"
        first, second = hand_over(site, user, url), hand_over(site, user, url)
    assert ("perhaps it arrived" in first.failures[0].reason, first.restored) == (True, 0)
    assert (second.status, second.restored) == ("complete", 1)


def test_what_needs_binary_transport_stays_out_where_there_is_none(dovecot: DovecotServer, site: Site) -> None:
    user = backed_up(site, dovecot, {"INBOX": [plain_mail(1, body=b"a bare\rCR\r\n"), plain_mail(2)]})
    with answering(lambda *_: None) as server:
        report = hand_over(site, user, f"smtp://{user}@127.0.0.1:{server.port}?tls=off")
    assert (report.restored, len(report.failures)) == (1, 1)
    assert "only where BINARYMIME is offered" in report.failures[0].reason


def test_any_octets_go_where_the_server_takes_them_in_chunks(dovecot: DovecotServer, site: Site) -> None:
    mails = [plain_mail(1, body=b"a bare\rCR\nand no end"), plain_mail(2, body=b".\r\n" + b"x" * 2_000 + b"\r\n")]
    user = backed_up(site, dovecot, {"INBOX": mails})
    kept = {seen.octets for seen in site.contents(site.snapshot(user))["INBOX"]}
    offer = "250-here\r\n250-8BITMIME\r\n250-CHUNKING\r\n250 BINARYMIME"
    with answering(lambda verb, _: offer if verb == "EHLO" else None) as server:
        report = hand_over(site, user, f"smtp://{user}@127.0.0.1:{server.port}?tls=off")
    assert (report.status, report.restored) == ("complete", len(mails))
    assert set(server.taken) == kept
    assert server.senders == ["mail FROM:<> BODY=BINARYMIME"] * len(mails)


def test_a_relay_is_logged_in_to_over_tls_and_each_account_gets_its_own(
    dovecot: DovecotServer, site: Site, tmp_path: Path
) -> None:
    user = backed_up(site, dovecot, {"INBOX": [plain_mail(1)]})
    with mailroom(tmp_path) as room:
        url = f"smtp://{room.user}@localhost:{room.port}?ca={room.ca}&as={user}"
        login = Login(lambda: room.password)
        target = DeliveryTarget(parse_delivery_url(url), login, site.directory / "ledgers")
        assert restore(site, site.snapshot(user), target).status == "complete"
        wrong = DeliveryTarget(parse_delivery_url(url), Login(new_secret), tmp_path / "other")
        with pytest.raises(LoginRefused):
            restore(site, site.snapshot(user), wrong)
    assert [(one.rcpt_tos, one.mail_from) for one in room.envelopes] == [([user], "<>")]
    assert room.sealed == [True]


def test_plain_text_is_refused_unless_it_is_asked_for(dovecot: DovecotServer, site: Site) -> None:
    user = backed_up(site, dovecot, {"INBOX": [plain_mail(1)]})
    with answering(lambda *_: None) as server, pytest.raises(CannotConnect, match="offers no TLS"):
        hand_over(site, user, f"smtp://{user}@127.0.0.1:{server.port}")
    assert not server.taken


# What is noted.


def ledger_of(site: Site) -> Path:
    (path,) = (site.directory / "ledgers").iterdir()
    return path


@pytest.mark.parametrize("torn", [b"", b"cut", b"\0" * 4096])
def test_a_ledger_that_a_crash_tore_costs_its_last_line_alone(torn: bytes, dovecot: DovecotServer, site: Site) -> None:
    user = backed_up(site, dovecot, {"INBOX": [plain_mail(n) for n in range(4)]})
    with answering(lambda *_: None) as server:
        url = f"smtp://{user}@127.0.0.1:{server.port}?tls=off"
        hand_over(site, user, url)
        ledger = ledger_of(site)
        noted = ledger.read_bytes()
        ledger.write_bytes(noted[:-20] if torn == b"cut" else noted + torn)
        runs = [hand_over(site, user, url) for _ in range(3)]
    assert [run.restored for run in runs] == [int(torn == b"cut"), 0, 0]
    assert set(ledger.read_bytes().splitlines()) >= set(noted.splitlines())


def test_a_line_that_a_crash_tore_merges_with_no_other(dovecot: DovecotServer, site: Site) -> None:
    user = backed_up(site, dovecot, {"INBOX": [plain_mail(1), plain_mail(2)], "Work": [plain_mail(3)]})
    with answering(lambda *_: None) as server:
        url = f"smtp://{user}@127.0.0.1:{server.port}?tls=off"
        hand_over(site, user, url)
        ledger = ledger_of(site)
        lines = ledger.read_bytes().splitlines(keepends=True)
        ledger.write_bytes(lines[0] + lines[1][:25])
        assert [hand_over(site, user, url).restored for _ in range(2)] == [2, 0]
    assert sorted(ledger.read_bytes().splitlines(keepends=True)) == sorted(lines)


def test_a_new_ledger_is_in_its_directory_before_anything_else_is_noted(
    kept: tuple[Site, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, user = kept
    synced, real = [], os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with answering(lambda *_: None) as server:
        hand_over(site, user, f"smtp://{user}@127.0.0.1:{server.port}?tls=off")
    ledger = ledger_of(site)
    ours = [path for path in synced if path in {site.directory, ledger.parent, ledger}]
    assert (set(ours[:-1]), ours[-1]) == ({site.directory, ledger.parent}, ledger)


# Who the mail goes to.

NOBODY = ["x <other@example.org>", "<other@example.org>", "other@example.org (x)"]
NOBODY += ["a b@example.org", "@relay.invalid:a@example.org", "a@b@example.org", "a>"]
NOBODY += ["a,b@example.org", '"a"b@example.org', "a..b@example.org", '"a', ".a", " "]
NOBODY += ["a@b> SIZE=1", "a@example.org;b", "a\u00a0b@example.org", "a@", "a\udcff@b"]


def outcome(site: Site, user: str, account: str, port: int) -> RestoreReport | str:
    """Restore to an account with such a name; return the report, or the one line why not."""
    endpoint = Endpoint("127.0.0.1", port, account, "off", protocol="smtp")
    try:
        return restore(site, site.snapshot(user), DeliveryTarget(endpoint, None, site.directory / "ledgers"))
    except RestoreTrouble as error:
        return error.message


@pytest.mark.parametrize("name", [*NOBODY, "a\r\nb@x", "a\nRCPT TO:<b@x>", "a\0b@x"])
def test_an_account_whose_name_is_no_address_gets_no_mail_and_nobody_else_does(
    name: str, kept: tuple[Site, str], tmp_path: Path
) -> None:
    with mailroom(tmp_path, "plain") as room:
        assert "names nobody that mail can be delivered to" in str(outcome(*kept, name, room.port))
    assert not room.envelopes


@pytest.mark.parametrize(
    "name", ["anna", "anna@example.org", "a.b+c@example.org", '"x <other@y>"@example.org', "o'b/c=d@[127.0.0.1]"]
)
def test_mail_goes_to_the_very_name_that_the_account_has(name: str, kept: tuple[Site, str]) -> None:
    with answering(lambda *_: None) as server:
        report = outcome(*kept, name, server.port)
    assert isinstance(report, RestoreReport)
    assert (report.status, server.recipients) == ("complete", [f"RCPT TO:<{name}>"])


def test_a_name_beyond_ascii_is_sent_where_the_server_takes_such_names(kept: tuple[Site, str], tmp_path: Path) -> None:
    with mailroom(tmp_path, "plain") as room:
        report = outcome(*kept, "jürgen@bücher.example", room.port)
    assert isinstance(report, RestoreReport)
    assert (report.status, [one.rcpt_tos for one in room.envelopes]) == ("complete", [["jürgen@bücher.example"]])
    assert room.envelopes[0].smtp_utf8


def test_a_name_beyond_ascii_is_one_clear_line_where_the_server_takes_none(kept: tuple[Site, str]) -> None:
    with answering(lambda *_: None) as server, pytest.raises(CannotConnect, match="offers no SMTPUTF8"):
        outcome(*kept, "jürgen@bücher.example", server.port)
    assert not server.recipients


@given(st.text(st.sampled_from('ab@<>"\\ ,;:()[]. \r\n\0é'), max_size=12))
def test_no_name_makes_two_recipients_or_another_command(name: str) -> None:
    try:
        sent = recipient_of(name)
    except RestoreTrouble:
        return
    assert sent == name
    bare = re.sub(r'\A"(?:\\.|[^\\"])*"(?=@|\Z)', "quoted", sent)
    assert not re.search(r"[<>\s,;:()\0\"\\]", bare)
    assert bare.count("@") <= 1
