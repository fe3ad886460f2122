"""Restores to accounts with a quota: what can't fit is refused before it is sent, what is full is told plainly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import Command, assert_one_error
from tests.cli.keeping import backed_up, restoring, with_vault
from tests.corpus import plain_mail
from tests.servers import CyrusServer, DovecotServer, ImapServer, User
from tests.servers.maildir import deliver
from tests.servers.wire import RawImap

MIB = 1 << 20
Roomy = Callable[[], tuple[ImapServer, User]]


def large(number: int, octets: int = MIB // 4) -> bytes:
    return plain_mail(number, body=(b"%070d\r\n" % number) * (octets // 72))


@pytest.fixture(params=["dovecot", "cyrus"])
def one_mib(request: pytest.FixtureRequest, start_dovecot: Callable[..., DovecotServer]) -> tuple[ImapServer, User]:
    """An account that may store 1 MiB."""
    if request.param == "dovecot":
        limited = start_dovecot(quota_mb=1)
        return limited, limited.new_user()
    cyrus: CyrusServer = request.getfixturevalue("cyrus")
    user = cyrus.new_user()
    cyrus.open(user.name).close()  # the first login makes the mailboxes
    with RawImap(cyrus.port, cyrus.admin.name, cyrus.admin.password) as imap:
        imap.do(f"SETQUOTA user/{user.name} (STORAGE 1024)")
    return cyrus, user


@pytest.fixture
def ready(command: Command, tmp_path: Path) -> Command:
    return with_vault(command, tmp_path / "vault")


def keep(ready: Command, dovecot: DovecotServer, *sizes: int) -> str:
    """Keep an account with a mail of each size, and return its name."""
    user = dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [large(n, size) for n, size in enumerate(sizes)])
    backed_up(ready, dovecot, user)
    return user


def stored(server: ImapServer, user: User) -> int:
    with server.open(user.name) as imap:
        return sum(len(mails) for mails in imap.account().values())


def test_what_cannot_fit_is_refused_before_anything_is_sent_and_the_plan_says_so(
    ready: Command, dovecot: DovecotServer, one_mib: tuple[ImapServer, User]
) -> None:
    (server, heir), user = one_mib, keep(ready, dovecot, *[MIB // 4] * 6)
    there = ("restore", user, "--to", server.url(heir.name))
    planned = restoring(ready, heir).well(*there, "--dry-run")
    assert "needs up to 1.5 MiB, 1.0 MiB left: does not fit" in planned.out
    (document,) = restoring(ready, heir).well(*there, "--dry-run", "--json").document
    (quota,) = [one for one in document["quota"] if one["resource"] == "storage"]
    assert (quota["left"], quota["verdict"]) == (MIB, "too little")
    assert quota["needs_at_most"] > MIB
    outcome = restoring(ready, heir)(*there)
    assert_one_error(outcome, 3, user, "needs 1.5 MiB", "1.0 MiB left")
    assert "--ignore-quota" in outcome.hints[0]
    assert stored(server, heir) == 0


def test_what_fits_is_restored_on_request_and_that_the_account_is_full_is_told_once(
    ready: Command, dovecot: DovecotServer, one_mib: tuple[ImapServer, User]
) -> None:
    (server, heir), user = one_mib, keep(ready, dovecot, *[MIB // 4] * 8, 2000)
    outcome = restoring(ready, heir)("restore", user, "--to", server.url(heir.name), "--ignore-quota")
    came = stored(server, heir)
    assert 3 <= came <= 5
    assert_one_error(outcome, 1, user, "is full", f"{9 - came} messages did not fit")
    again = restoring(ready, heir)("restore", user, "--to", server.url(heir.name), "--ignore-quota", "--json")
    assert again.document["accounts"][0]["restored"] == 0
    assert again.document["accounts"][0]["skipped"] == came


def test_an_account_that_holds_most_of_it_already_is_not_refused(
    ready: Command, dovecot: DovecotServer, one_mib: tuple[ImapServer, User]
) -> None:
    (server, heir), user = one_mib, keep(ready, dovecot, *[MIB // 4] * 3)
    there = ("restore", user, "--to", server.url(heir.name), "--json")
    assert restoring(ready, heir).well(*there).document["accounts"][0]["restored"] == 3
    assert restoring(ready, heir).well(*there).document["accounts"][0]["skipped"] == 3


def test_a_limit_on_mailboxes_counts_too(ready: Command, dovecot: DovecotServer, cyrus: CyrusServer) -> None:
    user, heir = dovecot.new_user().name, cyrus.new_user()
    cyrus.open(heir.name).close()
    with RawImap(cyrus.port, cyrus.admin.name, cyrus.admin.password) as imap:
        imap.do(f"SETQUOTA user/{heir.name} (X-NUM-FOLDERS 2)")
    for number, name in enumerate(("A", "B", "C")):
        deliver(dovecot, user, name, [large(number, 100)])
    backed_up(ready, dovecot, user)
    outcome = restoring(ready, heir)("restore", user, "--to", cyrus.url(heir.name))
    assert_one_error(outcome, 3, "needs 3 mailboxes", "1 mailbox left")
    outcome = restoring(ready, heir)("restore", user, "--to", cyrus.url(heir.name), "--ignore-quota", "--json")
    assert (outcome.code, len(outcome.document["accounts"][0]["failures"])) == (1, 2)


def test_other_mail_in_the_same_mailbox_makes_it_be_counted_and_refused(
    ready: Command, dovecot: DovecotServer, one_mib: tuple[ImapServer, User]
) -> None:
    (server, heir), user = one_mib, keep(ready, dovecot, *[MIB // 4] * 3)
    with server.open(heir.name) as imap:
        for number in (100, 101):
            imap.append("INBOX", large(number))
    there = ("restore", user, "--to", server.url(heir.name))
    assert "counted before anything is sent" in restoring(ready, heir).well(*there, "--dry-run").out
    assert_one_error(restoring(ready, heir)(*there), 3, user, "left")
    assert stored(server, heir) == 2
