"""A restore interrupted at every single APPEND, with and without its answer, and run again: no duplicate, no gap."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from imap.errors import CannotConnect, ConnectionLost
from imap.model import Endpoint, Login
from restore.targets.imap import ImapTarget
from tests.backup.site import Site, account
from tests.corpus import MESSAGES, TWINS, plain_mail
from tests.restore.append_cutter import When, append_cutter
from tests.restore.replay import held, restore, to_server
from tests.servers import DovecotServer, ImapServer
from tests.servers.maildir import Mail, deliver


@pytest.fixture
def filled(dovecot: DovecotServer, tmp_path: Path) -> tuple[Site, str]:
    """Return a vault with one small account: twins, a mail without Message-ID, flags, four mailboxes."""
    site, user = Site(tmp_path), dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [*TWINS, MESSAGES["no Message-ID"]])
    for number, name in enumerate(("Sent", "Work", "Work/2024")):
        deliver(dovecot, user, name, [TWINS[0], Mail(plain_mail(number), ("\\Seen", "Urgent"))])
    site.backup(account(dovecot, user))
    return site, user


@pytest.mark.parametrize("when", ["before", "within", "unanswered", "answered"])
@pytest.mark.parametrize("kind, appends", [("second_dovecot", 4), ("courier", 9)])
def test_a_restore_cut_at_any_append_leaves_no_duplicate_and_no_gap_when_run_again(
    kind: str, appends: int, when: When, filled: tuple[Site, str], request: pytest.FixtureRequest
) -> None:
    site, user = filled
    server: ImapServer = request.getfixturevalue(kind)
    vault, snapshot, whole = site.open(), site.snapshot(user), server.new_user().name
    restore(site, snapshot, to_server(server, whole), vault=vault)
    for number in count(1):
        heir = server.new_user().name
        with append_cutter(server.port, number, when) as proxy:
            endpoint, login = Endpoint("127.0.0.1", proxy.port, heir, "off"), Login(partial(server.password, heir))
            with suppress(ConnectionLost, CannotConnect):
                target = ImapTarget(endpoint, login, connections=1, patience=0.1, timeout=10)
                restore(site, snapshot, target, vault=vault)
            if not proxy.struck:
                break
        report = restore(site, site.snapshot(user), to_server(server, heir), verify=True)
        assert (report.status, report.failures) == ("complete", ())
        assert report.restored + report.skipped == report.verified == 9
        assert held(server, heir) == held(server, whole)
    assert number == appends + 1
