"""Restores that meet something odd on the way: merged mailboxes, refusals, limits, cuts, damaged tables."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from imap.errors import CannotConnect, ConnectionLost
from imap.model import Endpoint, Login
from restore import Filters, Mapping
from restore.targets.imap import ImapTarget
from tests.backup.site import Site, account
from tests.corpus import EMPTY, TWINS, plain_mail
from tests.imap.scripted import HANG_UP, Reply, Script, Scripted, scripted
from tests.proxy import cutting_proxy
from tests.restore.replay import held, restore, to_server
from tests.secret import new_secret
from tests.servers import CourierServer, DovecotServer, Imap4dServer
from tests.servers.maildir import Mail, deliver
from vault.errors import Damage
from vault.ids import BlobId
from vault.table import flag_table, message_table
from vault.vault import Vault


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_equal_messages_of_two_mailboxes_that_become_one_stay_two(
    dovecot: DovecotServer, second_dovecot: DovecotServer, site: Site
) -> None:
    user, heir = dovecot.new_user().name, second_dovecot.new_user().name
    deliver(dovecot, user, "A", [*TWINS, plain_mail(1)])
    deliver(dovecot, user, "B", [TWINS[0], plain_mail(2)])
    site.backup(account(dovecot, user))
    both = Mapping((("A", "Both"), ("B", "Both")))
    first = restore(site, site.snapshot(user), to_server(second_dovecot, heir), mapping=both)
    again = restore(site, site.snapshot(user), to_server(second_dovecot, heir), mapping=both, verify=True)
    assert (first.restored, again.restored, again.skipped) == (5, 0, 5)
    there = Counter(text for text, _, _ in held(second_dovecot, heir)["Both"].elements())
    assert there == Counter([*TWINS, TWINS[0], plain_mail(1), plain_mail(2)])


@pytest.mark.parametrize("limit", [1200, 1300, 1400, 1500, 1600, 1700])
def test_a_restore_cut_at_any_answer_goes_on_without_duplicate_or_gap_when_run_again(
    dovecot: DovecotServer, second_dovecot: DovecotServer, site: Site, limit: int
) -> None:
    user, heir = dovecot.new_user().name, second_dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [*TWINS, *(plain_mail(n) for n in range(4))])
    deliver(dovecot, user, "Sent", [Mail(plain_mail(n), ("\\Seen",)) for n in range(10, 14)])
    site.backup(account(dovecot, user))
    with cutting_proxy(second_dovecot.port, [limit, *[0] * 400]) as proxy:
        endpoint = Endpoint("127.0.0.1", proxy.port, heir, "off")
        target = ImapTarget(
            endpoint, Login(lambda: second_dovecot.password(heir)), connections=1, patience=1.4, timeout=10
        )
        with suppress(ConnectionLost, CannotConnect):
            restore(site, site.snapshot(user), target)
        assert proxy.connections > 1
    report = restore(site, site.snapshot(user), to_server(second_dovecot, heir))
    assert report.status == "complete"
    assert held(second_dovecot, heir) == held(dovecot, user)


def test_a_message_that_breaks_every_connection_is_named_and_the_rest_comes(
    dovecot: DovecotServer, imap4d: Imap4dServer, site: Site
) -> None:
    user, heir = dovecot.new_user().name, imap4d.new_user().name
    deliver(dovecot, user, "INBOX", [plain_mail(1), EMPTY, plain_mail(2)])  # imap4d dies of an empty message
    site.backup(account(dovecot, user))
    report = restore(site, site.snapshot(user), to_server(imap4d, heir))
    assert (report.status, report.restored) == ("partial", 2)
    assert [(f.mailbox, f.uid, "whenever it is sent" in f.reason) for f in report.failures] == [("INBOX", 2, True)]
    assert Counter(text for text, _, _ in held(imap4d, heir)["INBOX"]) == Counter([plain_mail(1), plain_mail(2)])


def test_flags_that_append_forgets_are_set_afterwards_with_two_connections_at_work(
    dovecot: DovecotServer, imap4d: Imap4dServer, site: Site
) -> None:
    user, heir = dovecot.new_user().name, imap4d.new_user().name
    kinds: tuple[tuple[str, ...], ...] = ((), ("\\Seen",), ("\\Answered", "\\Seen"), ("\\Flagged",))
    mails = [Mail(plain_mail(n), kinds[n % 4]) for n in range(230)] + [Mail(TWINS[0], kinds[1]), Mail(TWINS[1], ())]
    deliver(dovecot, user, "INBOX", mails)
    site.backup(account(dovecot, user))
    report = restore(site, site.snapshot(user), to_server(imap4d, heir))
    assert (report.status, report.restored, report.altered) == ("complete", 232, ())
    there = Counter((text, flags) for text, flags, _ in held(imap4d, heir)["INBOX"].elements())
    assert there == Counter((mail.octets, mail.flags) for mail in mails)


def test_courier_takes_an_empty_message(dovecot: DovecotServer, courier: CourierServer, site: Site) -> None:
    user, heir = dovecot.new_user().name, courier.new_user().name
    deliver(dovecot, user, "INBOX", [EMPTY, plain_mail(1)])
    site.backup(account(dovecot, user))
    report = restore(site, site.snapshot(user), to_server(courier, heir))
    assert (report.status, report.restored) == ("complete", 2)
    assert {text for text, _, _ in held(courier, heir)["INBOX"]} == {b"\r\n", plain_mail(1)}


def test_a_failing_account_does_not_stop_the_restores_beside_it(dovecot: DovecotServer, site: Site) -> None:
    user = dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [plain_mail(1)])
    site.backup(account(dovecot, user))
    stop = threading.Event()
    rules: dict[str, list[Reply]] = {"^LIST": [b'* LIST () "/" INBOX\r\nTAG OK\r\n'], "^SELECT": [HANG_UP]}
    with scripted(Script(rules)) as server:
        target = to_script(server, patience=0.2)
        with pytest.raises(ConnectionLost):
            restore(site, site.snapshot(user), target, stop=stop)
    assert not stop.is_set()


def to_script(server: Scripted, *, patience: float = 1) -> ImapTarget:
    """A target for a scripted server, which hears one connection at a time."""
    return ImapTarget(server.endpoint(), Login(new_secret), connections=1, patience=patience)


SELECTED = b"* FLAGS (\\Seen)\r\n* 0 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT 1]\r\nTAG OK [READ-WRITE] done\r\n"
LISTED = b'* LIST () "/" INBOX\r\n* LIST () "/" Shut\r\nTAG OK\r\n'


def test_a_mailbox_that_cannot_be_opened_is_named_and_the_rest_comes(dovecot: DovecotServer, site: Site) -> None:
    user = dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [plain_mail(1)])
    deliver(dovecot, user, "Shut", [plain_mail(2)])
    site.backup(account(dovecot, user))
    rules: dict[str, list[Reply]] = {
        "^LIST": [LISTED],
        "^SELECT .?Shut": [b"TAG NO [NOPERM] not yours\r\n"],
        "^SELECT": [SELECTED],
        "^APPEND": [b"TAG OK [APPENDUID 7 1] done\r\n"],
    }
    with scripted(Script(rules)) as server:
        report = restore(site, site.snapshot(user), to_script(server))
        assert server.literals == [plain_mail(1)]
    assert (report.status, report.restored) == ("partial", 1)
    assert [(f.mailbox, "not yours" in f.reason) for f in report.failures] == [("Shut", True)]


def test_what_is_too_large_is_named_and_a_cut_confuses_nobody(dovecot: DovecotServer, site: Site) -> None:
    user = dovecot.new_user().name
    small, large = [plain_mail(n) for n in range(3)], plain_mail(9, body=b"x" * 3_000 + b"\r\n")
    deliver(dovecot, user, "INBOX", [large, *small])
    site.backup(account(dovecot, user))
    stored = b"".join(
        b'* %d FETCH (UID %d RFC822.SIZE 5 INTERNALDATE " 1-Jan-2024 00:00:00 +0000"'
        b" BODY[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)] {%d}\r\n%b)\r\n" % (n + 1, n + 1, len(mail), mail)
        for n, mail in enumerate(small[:1])
    )  # fmt: skip
    full = SELECTED.replace(b"0 EXISTS", b"1 EXISTS").replace(b"UIDNEXT 1", b"UIDNEXT 2")
    rules: dict[str, list[Reply]] = {
        "^LIST": [b'* LIST () "/" INBOX\r\nTAG OK\r\n'],
        "^SELECT": [SELECTED, full],
        "SEARCH": [b"* SEARCH 1\r\nTAG OK\r\n"],
        "^UID FETCH.*HEADER": [stored + b"TAG OK\r\n"],
        "^UID FETCH": [b"* 1 FETCH (UID 1 FLAGS ())\r\nTAG OK\r\n"],
        "^APPEND": [b"TAG OK [APPENDUID 7 1] done\r\n", HANG_UP, b"TAG OK done\r\n"],
    }
    words = b"IMAP4rev1 UIDPLUS APPENDLIMIT=2000"
    with scripted(Script(rules, capabilities=words, greeting=b"* OK [CAPABILITY " + words + b"] hi\r\n")) as server:
        target = ImapTarget(server.endpoint(), Login(new_secret), patience=20, connections=1)
        report = restore(site, site.snapshot(user), target)
        assert server.literals == [small[0], small[1], small[1], small[2]]
    assert [(f.uid, "2000" in f.reason) for f in report.failures] == [(1, True)]
    assert report.restored == 3


def test_keywords_that_the_target_cannot_keep_are_named(dovecot: DovecotServer, site: Site) -> None:
    user = dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [Mail(plain_mail(1), ("\\Seen", "Urgent"))])
    site.backup(account(dovecot, user))
    rules: dict[str, list[Reply]] = {
        "^LIST": [b'* LIST () "/" INBOX\r\nTAG OK\r\n'],
        "^SELECT": [SELECTED.replace(b"TAG", b"* OK [PERMANENTFLAGS (\\Seen \\Deleted)] few\r\nTAG")],
    }
    with scripted(Script(rules)) as server:
        report = restore(site, site.snapshot(user), to_script(server))
        (command,) = server.commands("APPEND")
    assert "\\Seen" in command
    assert "Urgent" not in command
    assert [a.what for a in report.altered] == ["the server keeps no Urgent"]


def test_flags_that_a_server_forgets_and_then_refuses_are_named_and_nothing_comes_twice(
    dovecot: DovecotServer, site: Site
) -> None:
    user = dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [Mail(plain_mail(1), ("\\Flagged",))])
    site.backup(account(dovecot, user))
    rules: dict[str, list[Reply]] = {
        "^LIST": [b'* LIST () "/" INBOX\r\nTAG OK\r\n'],
        "^SELECT": [SELECTED.replace(b"(\\Seen)", b"(\\Seen \\Flagged)")],
        "^APPEND": [b"TAG OK [APPENDUID 7 1] done\r\n"],
        "^UID STORE": [b"TAG NO not today\r\n"],
    }
    words = b"IMAP4rev1 UIDPLUS"
    greeting = b"* OK [CAPABILITY " + words + b"] The Microsoft Exchange IMAP4 service is ready.\r\n"
    with scripted(Script(rules, greeting, words)) as server:
        report = restore(site, site.snapshot(user), to_script(server))
        assert len(server.literals) == 1
    assert (report.status, report.restored) == ("complete", 1)
    assert ["not today" in a.what for a in report.altered] == [True]


def test_two_mailboxes_whose_names_meet_at_the_target_are_not_mixed(
    start_dovecot: Callable[..., DovecotServer], site: Site
) -> None:
    source, dotted = start_dovecot(location="mdbox:~/mdbox"), start_dovecot(separator=".")
    user, heir = source.new_user().name, dotted.new_user().name
    with source.open(user) as imap:
        for name, number in (("v1.2", 1), ("v1%2E2", 2)):
            imap.create(name)
            imap.append(name, plain_mail(number))
    site.backup(account(source, user))
    report = restore(site, site.snapshot(user), to_server(dotted, heir))
    assert (report.status, report.restored, len(report.failures)) == ("partial", 1, 1)
    assert report.failures[0].uid is None


def test_a_damaged_page_costs_only_what_it_holds(
    dovecot: DovecotServer, second_dovecot: DovecotServer, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, heir = dovecot.new_user().name, second_dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [Mail(plain_mail(n), ("\\Seen",)) for n in range(1, 1501)])
    site.backup(account(dovecot, user))
    vault = site.open()
    inbox = next(box for box in vault.tree(site.snapshot(user)).mailboxes if box.name == "INBOX")
    total = lost_rows = lost_flags = 0
    spoilt: set[BlobId] = set()
    for root, table in ((inbox.rows, "rows"), (inbox.flags, "flags")):
        pages = list(_pages(vault, root, table))
        assert len(pages) > 1
        blob, count = pages[0] if table == "rows" else pages[-1]
        spoilt.add(blob)
        total = sum(n for _, n in pages)
        lost_rows, lost_flags = (count, 0) if table == "rows" else (lost_rows, count)
    monkeypatch.setattr(Site, "open", lambda _: _spoilt(vault, spoilt))
    report = restore(site, site.snapshot(user), to_server(second_dovecot, heir))
    there = held(second_dovecot, heir)["INBOX"]
    assert report.status == "partial"
    assert len(report.failures) == 2
    assert report.restored == there.total() == total - lost_rows
    assert sum(n for (_, flags, _), n in there.items() if not flags) == lost_flags


def _pages(vault: Vault, root: bytes | None, table: str) -> list[tuple[BlobId, int]]:
    leaves = (message_table(vault.read_meta, root) if table == "rows" else flag_table(vault.read_meta, root)).leaves
    return [(leaf.blob, leaf.rows) for leaf in leaves]


def _spoilt(vault: Vault, blobs: set[BlobId]) -> Vault:
    read = vault.blobs.read

    def broken(blob: BlobId, kind: bytes) -> bytes:
        if blob in blobs:
            raise Damage("meta/x is cut short", object_name="meta/x")
        return read(blob, kind)

    vault.blobs.read = broken  # type: ignore[method-assign]
    return vault


def test_a_message_whose_catalogue_is_lost_is_found_by_its_subject_all_the_same(
    dovecot: DovecotServer, second_dovecot: DovecotServer, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, heir = dovecot.new_user().name, second_dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [plain_mail(1, subject="wanted"), plain_mail(2)])
    site.backup(account(dovecot, user))
    vault = site.open()
    monkeypatch.setattr(vault, "catalogue", lambda _: {})
    monkeypatch.setattr(Site, "open", lambda _: vault)
    report = restore(site, site.snapshot(user), to_server(second_dovecot, heir), filters=Filters(subject="WANTED"))
    assert (report.status, report.restored) == ("complete", 1)


def test_what_is_no_smaller_than_what_had_no_room_is_not_sent(dovecot: DovecotServer, site: Site) -> None:
    user = dovecot.new_user().name
    sizes = (10, 3000, 2000, 4000, 1000)  # newest last, which is sent first
    mails = [plain_mail(n, body=b"x" * size + b"\r\n") for n, size in enumerate(sizes)]
    deliver(dovecot, user, "INBOX", mails)
    site.backup(account(dovecot, user))
    rules: dict[str, list[Reply]] = {
        "^LIST": [b'* LIST () "/" INBOX\r\nTAG OK\r\n'],
        "^SELECT": [SELECTED],
        "^APPEND": [b"TAG OK done\r\n", b"TAG NO You exceeded your mail quota.\r\n", b"TAG OK done\r\n"],
    }
    with pytest.MonkeyPatch.context() as patch, scripted(Script(rules)) as server:
        patch.setattr("restore.run.BATCH_MESSAGES", 1)
        target = ImapTarget(server.endpoint(), Login(new_secret), patience=1, connections=1)
        report = restore(site, site.snapshot(user), target)
        sent = server.literals
    refused = len(sent[1])
    assert [len(octets) >= refused for octets in sent[2:]] == [False] * len(sent[2:])
    assert report.over_quota == len(report.failures) == len(mails) - len(sent) + 1 > 1
