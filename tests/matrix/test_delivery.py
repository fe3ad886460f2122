"""Mail that an MTA delivers is backed up, lost, restored to every kind of server, and new mail arrives as before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from secrets import token_hex

import pytest

from tests.backup.site import Site, account, only
from tests.corpus import plain_mail
from tests.matrix.accounts import read
from tests.matrix.expectations import EXPECTED, expect
from tests.restore.replay import held, restore, to_server
from tests.servers import (
    CourierServer,
    CyrusServer,
    DovecotServer,
    EximServer,
    ImapServer,
    PostfixServer,
    SendmailServer,
)
from tests.servers.base import Mailer
from tests.servers.postfix import dovecot_lmtp
from tests.servers.process import free_ports, wait_for

MAILS = [
    plain_mail(1),
    plain_mail(2, body=b"From me to you\r\n.\r\n..dots\r\n"),
    plain_mail(3, headers=b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n", body="Grüße\r\n".encode()),
    plain_mail(4, body=b"x" * 70 + b"\r\n" * 2_000),
]

Others = Callable[[], dict[str, ImapServer]]


@pytest.fixture
def others(request: pytest.FixtureRequest) -> Others:
    """Return one server of each kind."""
    return lambda: {kind: request.getfixturevalue(kind) for kind in EXPECTED}


def arrived(server: ImapServer, user: str, count: int) -> bool:
    with server.open(user) as imap:
        return len(imap.messages("INBOX")) >= count


def the_whole_way(
    mailer: Mailer, server: ImapServer, user: str, wipe: Callable[[str], None], site: Site, others: Others
) -> None:
    """Mail arrives, is backed up, lost, restored here and to every kind of server, and mail arrives again."""
    for mail in MAILS:
        mailer.send(user, mail)
    wait_for(lambda: arrived(server, user, len(MAILS)), 30, mailer.story)
    assert only(site.backup(account(server, user))).status == "complete"
    before, plain = held(server, user), read(server, user)
    assert before["INBOX"].total() == len(MAILS)

    wipe(user)
    assert held(server, user)["INBOX"].total() == 0
    assert restore(site, site.snapshot(user), to_server(server, user)).status == "complete"
    assert held(server, user) == before
    for kind, other in others().items():
        heir = other.new_user().name
        assert restore(site, site.snapshot(user), to_server(other, heir)).status == "complete"
        assert read(other, heir) == expect(plain, EXPECTED[kind]).held, kind

    mailer.send(user, plain_mail(99))
    wait_for(lambda: arrived(server, user, len(MAILS) + 1), 30, mailer.story)
    assert not before["INBOX"] - held(server, user)["INBOX"]
    assert restore(site, site.snapshot(user), to_server(server, user)).restored == 0


def test_postfix_and_dovecot_by_lmtp(
    start_postfix: Callable[[int], PostfixServer],
    start_dovecot: Callable[..., DovecotServer],
    others: Others,
    tmp_path: Path,
) -> None:
    (port,) = free_ports(1)
    server = start_dovecot(extra=dovecot_lmtp(port))
    user = server.new_user().name
    the_whole_way(start_postfix(port), server, user, server.wipe, Site(tmp_path), others)


def test_exim_and_courier_by_maildir(
    start_exim: Callable[[Path], EximServer], courier: CourierServer, others: Others, tmp_path: Path
) -> None:
    user = courier.new_user().name
    mailer = start_exim(courier.home(user).parent)
    the_whole_way(mailer, courier, user, courier.wipe, Site(tmp_path), others)


def test_sendmail_and_dovecot_by_mbox(
    start_sendmail: Callable[[dict[str, Path]], SendmailServer],
    start_dovecot: Callable[..., DovecotServer],
    others: Others,
    tmp_path: Path,
) -> None:
    # Sendmail locks its files by flock; Dovecot, left to itself, by fcntl, and would show half a mail.
    locks = "mbox_read_locks = flock\nmbox_write_locks = flock\n"
    server = start_dovecot(location="mbox:~/mail:INBOX=~/inbox", extra=locks)
    user = server.new_user(f"user-{token_hex(4)}").name  # Sendmail would take a path with @ for an address
    mailer = start_sendmail({user: server.home(user) / "inbox"})
    the_whole_way(mailer, server, user, server.wipe, Site(tmp_path), others)


def test_postfix_and_cyrus_by_lmtp(
    start_postfix: Callable[[int], PostfixServer], cyrus: CyrusServer, others: Others, tmp_path: Path
) -> None:
    user = cyrus.new_user().name
    cyrus.open(user).close()  # makes the INBOX
    the_whole_way(start_postfix(cyrus.lmtp_port), cyrus, user, cyrus.wipe, Site(tmp_path), others)
