"""Servers that advertise what they can't do, or hide what they can: all is backed up, or it is said what is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from backup import SourceAccount
from imap.model import Endpoint, Login
from tests.backup.site import Site, account, only, served
from tests.corpus import plain_mail
from tests.fuzz.tamper import Harm, tampering
from tests.servers import ImapServer

EVERYTHING = (
    b"ENABLE CONDSTORE QRESYNC ESEARCH LIST-EXTENDED LIST-STATUS SPECIAL-USE NAMESPACE UIDPLUS OBJECTID ID UNSELECT"
    b" ACL METADATA QUOTA CREATE-SPECIAL-USE IMAP4rev2 APPENDLIMIT=\xb2 LITERAL-"
).split()
_CAPABILITIES = re.compile(rb"(?<=CAPABILITY )([^\]\r\n]*)")


def told(words: bytes) -> Harm:
    """Return what replaces each list of capabilities."""
    return lambda unit: [_CAPABILITIES.sub(words, unit)]


LIES = {
    "nothing": b"IMAP4rev1",
    "everything": b"IMAP4rev1 LITERAL+ " + b" ".join(EVERYTHING),
    **{word.decode("latin-1"): b"IMAP4rev1 LITERAL+ " + word for word in EVERYTHING},
}


@pytest.mark.parametrize(
    "kind, sent, lie",
    [
        *(("dovecot", "Sent", lie) for lie in LIES),
        *(("courier", "INBOX.Sent", lie) for lie in ("nothing", "everything")),
    ],
)
def test_whatever_a_server_says_it_can_do_its_mail_is_kept_whole_or_what_is_missing_is_named(
    kind: str, sent: str, lie: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server: ImapServer = request.getfixturevalue(kind)
    user = server.new_user().name
    with server.open(user) as imap:
        imap.create(sent)
        for number in range(3):
            imap.append("INBOX", plain_mail(number))
        imap.append(sent, plain_mail(9))
    site = Site(tmp_path)
    with tampering(server.port, None, told(LIES[lie])) as proxy:
        source = SourceAccount(
            user, Endpoint("127.0.0.1", proxy.port, user, "off"), Login(lambda: server.password(user))
        )
        first = only(site.backup(source))
        with server.open(user) as imap:
            imap.append("INBOX", plain_mail(4))
        second = only(site.backup(source))
    truth = served(server, user)
    for report in (first, second):
        assert report.status == "complete" or report.failures
    if second.status == "complete":
        kept = site.contents(site.snapshot(user))
        assert {name: [m.octets for m in mails] for name, mails in kept.items()} == {
            name: [m.octets for m in mails] for name, mails in truth.items()
        }
    last = only(site.backup(account(server, user)))
    assert (last.status, last.failures) == ("complete", ()), (first, second)
