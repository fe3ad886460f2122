"""Restored files in use: what servers make of them, what is delivered into them, what is restored again."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.backup.site import Site, account, only
from tests.corpus import plain_mail
from tests.restore.replay import held, restore, to_files
from tests.servers import DovecotServer, EximServer, Imap4dServer
from tests.servers.inprocess import GENERIC, InProcessServer
from tests.servers.maildir import deliver
from tests.servers.process import wait_for

UNEVEN = [
    plain_mail(1, body=b"one\ntwo\r\nthree\n" * 2_000),
    plain_mail(2, body=b"one\r\ntwo\r\n" * 2_000).replace(b"\r\n", b"\n"),
    plain_mail(3, body=b"a\r\r\nb\nc\r\n" * 2_000),
    plain_mail(4, body=b"one\r\ntwo\r\n" * 2_000),
    plain_mail(5, body=b"no end"),
]
"""Mail whose line ends are not all CRLF, and some whose are."""


@pytest.fixture
def exact() -> Iterator[InProcessServer]:
    """A server that gives a LF that stands alone as it was given it; real ones make CRLF of it."""
    server = InProcessServer(GENERIC)
    yield server
    server.stop()


def test_dovecot_serves_mail_with_bare_line_ends_by_the_sizes_that_its_files_are_named_with(
    exact: InProcessServer, second_dovecot: DovecotServer, tmp_path: Path
) -> None:
    site, user = Site(tmp_path), exact.new_user().name
    with exact.open(user) as imap:
        assert all(imap.append("INBOX", mail).ok for mail in UNEVEN)
    assert only(site.backup(account(exact, user))).status == "complete"
    heir = second_dovecot.new_user().name
    target = f"maildir:{second_dovecot.home(heir)}/Maildir"
    report = restore(site, site.snapshot(user), to_files(target), verify=True)
    assert (report.status, report.verified, report.altered) == ("complete", len(UNEVEN), ())
    boxes = restore(site, site.snapshot(user), to_files(f"mbox:{tmp_path / 'boxes'}"), verify=True)
    assert (boxes.status, boxes.verified) == ("complete", len(UNEVEN) - 1)  # the one without an end gets one
    second_dovecot.own(second_dovecot.home(heir))
    with second_dovecot.open(heir) as imap:
        imap.do("EXAMINE INBOX")
        answers = imap.do("FETCH 1:* (RFC822.SIZE)")
        sizes = Counter(int(size) for one in answers for size in re.findall(rb"SIZE (\d+)", one[0]))
        shown = Counter(seen.octets for seen in imap.messages("INBOX"))
    assert shown == Counter(re.sub(rb"(?<!\r)\n", b"\r\n", mail) for mail in UNEVEN)
    assert sizes == Counter(map(len, shown.elements()))
    assert restore(site, site.snapshot(user), to_files(target), verify=True).skipped == len(UNEVEN)


@pytest.mark.parametrize("cut", [r",W=\d+", r",W=\d+|:2,[A-Za-z]*$"])
def test_files_that_lost_a_part_of_their_names_are_known_again(
    cut: str, dovecot: DovecotServer, tmp_path: Path
) -> None:
    site, user = Site(tmp_path), dovecot.new_user().name
    mails = [plain_mail(1), plain_mail(2), plain_mail(2)]
    deliver(dovecot, user, "INBOX", mails)
    site.backup(account(dovecot, user))
    target = f"maildir:{tmp_path / 'out'}"
    restore(site, site.snapshot(user), to_files(target))
    for path in list((tmp_path / "out" / "cur").iterdir()):
        path.rename(path.with_name(re.sub(cut, "", path.name)))
    again = restore(site, site.snapshot(user), to_files(target), verify=True)
    assert (again.restored, again.skipped, again.verified) == (0, len(mails), len(mails))


def test_mail_that_an_mta_delivers_into_a_restored_maildir_is_served_beside_the_restored(
    start_exim: Callable[[Path], EximServer], dovecot: DovecotServer, second_dovecot: DovecotServer, tmp_path: Path
) -> None:
    site, user, heir = Site(tmp_path), dovecot.new_user().name, second_dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [plain_mail(1), plain_mail(2)])
    deliver(dovecot, user, "Work", [plain_mail(3)])
    site.backup(account(dovecot, user))
    target = f"maildir:{second_dovecot.home(heir)}/Maildir"
    restore(site, site.snapshot(user), to_files(target))
    second_dovecot.own(second_dovecot.home(heir))
    mailer = start_exim(second_dovecot.home(heir).parent)
    mailer.send(heir, plain_mail(99))

    def came() -> Counter[bytes]:
        return Counter(octets for octets, _, _ in held(second_dovecot, heir)["INBOX"].elements())

    wait_for(lambda: came().total() == 3, 30, mailer.story)
    assert not Counter([plain_mail(1), plain_mail(2)]) - came()
    assert sum(octets.endswith(plain_mail(99)) for octets in came()) == 1
    assert restore(site, site.snapshot(user), to_files(target), verify=True).verified == 3


@pytest.mark.usefixtures("imap4d")  # fails, or leaves out, where it is not installed
def test_imap4d_serves_a_restored_mbox(dovecot: DovecotServer, tmp_path: Path) -> None:
    site, user = Site(tmp_path), dovecot.new_user().name
    mails = [plain_mail(1), plain_mail(2, body=b"From me to you\r\n>From the past\r\n"), plain_mail(3), plain_mail(3)]
    deliver(dovecot, user, "INBOX", mails)
    site.backup(account(dovecot, user))
    restore(site, site.snapshot(user), to_files(f"mbox:{tmp_path / 'out'}"))
    server = Imap4dServer.start(storage="mbox")
    try:
        heir = server.new_user().name
        shutil.copy(tmp_path / "out" / "INBOX.mbox", server.inbox(heir))
        server.own(server.home(heir))
        with server.open(heir) as imap:
            shown = [seen.octets for seen in imap.messages("INBOX")]
    finally:
        server.remove()
    assert Counter(shown) == Counter(mails)
