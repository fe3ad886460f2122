"""Every server to every other: what is restored is what was there, but for what the target is known to change."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pytest

from restore import RestoreReport
from restore.plan import source_levels
from tests.backup.site import Site, account, only
from tests.cli.command import Command
from tests.matrix.accounts import Mail, Mailboxes, fill, read
from tests.matrix.expectations import EXPECTED, Expected, expect
from tests.restore.replay import restore, to_server
from tests.servers import ImapServer

SERVERS = tuple(EXPECTED)


class Source(NamedTuple):
    """A filled account, as it was when it was backed up."""

    user: str
    site: Site
    held: Mailboxes


@pytest.fixture(scope="module")
def sources() -> dict[str, Source]:
    """What has been filled and backed up already, by the server's name."""
    return {}


@pytest.fixture
def source(
    request: pytest.FixtureRequest, sources: dict[str, Source], tmp_path_factory: pytest.TempPathFactory
) -> Source:
    """The account to restore, made once for all targets."""
    kind = request.getfixturevalue("source_kind")
    if kind not in sources:
        server: ImapServer = request.getfixturevalue(kind)
        user, site = server.new_user().name, Site(tmp_path_factory.mktemp(kind))
        fill(server, user)
        held = read(server, user)
        assert only(site.backup(account(server, user))).status == "complete"
        sources[kind] = Source(user, site, held)
    return sources[kind]


def all_of(mailboxes: Mailboxes) -> Counter[tuple[str, Mail]]:
    """Return all messages with their places, so that a failing test shows those that differ and no others."""
    return Counter({(name, mail): count for name, mails in mailboxes.items() for mail, count in mails.items()})


def cell(server: ImapServer, heir: str, source: Source) -> RestoreReport:
    """Restore once."""
    return restore(source.site, source.site.snapshot(source.user), to_server(server, heir))


@pytest.mark.parametrize("target_kind", SERVERS)
@pytest.mark.parametrize("source_kind", SERVERS)
def test_a_target_holds_what_the_source_held_but_for_what_is_declared(
    source: Source, source_kind: str, target_kind: str, request: pytest.FixtureRequest, command: Command
) -> None:
    server: ImapServer = request.getfixturevalue(target_kind)
    target, heir = EXPECTED[target_kind], server.new_user().name
    expected = expect(source.held, target)
    assert expected.met == {rule.what for rule in target.rules if source_kind in rule.sources}

    report = cell(server, heir, source)
    there = read(server, heir)
    assert all_of(there) - all_of(expected.held) == all_of(expected.held) - all_of(there) == Counter()
    assert there.keys() == expected.held.keys()
    assert Counter(_words(failure.reason, expected) for failure in report.failures) == expected.refused
    assert report.status == ("partial" if expected.refused else "complete")

    assert only(source.site.backup(account(server, heir))).status == "complete"
    assert subscriptions(source.site, heir) == {
        target.names.get(name, name) for name in subscriptions(source.site, source.user)
    }
    assert told(source, heir, command) == differences(source, expected.held)

    again = cell(server, heir, source)
    assert again.restored == expected.again.total()
    assert {name: mails.total() for name, mails in read(server, heir).items() if name != "INBOX"} == {
        name: mails.total() for name, mails in there.items() if name != "INBOX"
    }


def _words(reason: str, expected: Expected) -> str:
    return next((words for words in expected.refused if reason.endswith(words)), reason)


def subscriptions(site: Site, user: str) -> set[str]:
    """Return the mailboxes that are subscribed to, INBOX aside, which some servers subscribe by themselves."""
    tree = site.open().tree(site.snapshot(user))
    boxes = [box for box in tree.mailboxes if box.subscribed and box.selectable and box.name != "INBOX"]
    return {"/".join(source_levels(box, tree.prefix)) for box in boxes}


class Told(NamedTuple):
    """What `restante diff` tells, by message."""

    came: Counter[str]
    went: Counter[str]
    moved: Counter[str]
    flags: Counter[tuple[str, frozenset[str], frozenset[str]]]
    mailboxes_came: set[str]
    mailboxes_went: set[str]


def told(source: Source, heir: str, command: Command) -> Told:
    """Compare the two newest snapshots with the real command."""
    ready = command.with_(
        RESTANTE_VAULT=f"file://{source.site.directory}/vault", RESTANTE_PASSPHRASE=source.site.passphrase
    )
    found = ready.well("diff", f"{source.user}@latest", f"{heir}@latest", "--json").document
    return Told(
        Counter(one["id"] for one in found["came"]),
        Counter(one["id"] for one in found["went"]),
        Counter(one["id"] for one in found["moved"]),
        Counter((one["id"], frozenset(one["before"]), frozenset(one["after"])) for one in found["flags"]),
        set(found["mailboxes"]["came"]),
        set(found["mailboxes"]["went"]),
    )


def differences(source: Source, after: Mailboxes) -> Told:
    """Say what `diff` should tell of an account before and after, in a way of its own."""
    ring = source.site.open().ring
    came: Counter[str] = Counter()
    went: Counter[str] = Counter()
    flags: Counter[tuple[str, frozenset[str], frozenset[str]]] = Counter()
    for name in source.held.keys() | after.keys():
        old, new = source.held.get(name, Counter()), after.get(name, Counter())
        ids = [Counter(ring.blob_id(b"message", mail.octets).hex() for mail in box.elements()) for box in (old, new)]
        went, came = went + (ids[0] - ids[1]), came + (ids[1] - ids[0])
        kept = {mail.octets: mail.flags for mail in new}
        for mail in old.elements():
            if kept.get(mail.octets, mail.flags) != mail.flags:
                flags[ring.blob_id(b"message", mail.octets).hex(), mail.flags, kept[mail.octets]] += 1
    moved = came & went
    names = source.held.keys(), after.keys()
    return Told(came - moved, went - moved, moved, flags, names[1] - names[0], names[0] - names[1])
