"""Servers that lie, break or keep something back: the snapshot is complete, or says honestly what is missing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backup import AccountReport, SourceAccount
from imap.model import Login
from tests.backup.site import Site, only
from tests.faults import Fault, FaultyStore
from tests.imap.scripted import HANG_UP, PASSWORD, SILENCE, Reply, Script, body, scripted, uids_of
from vault import slots
from vault.clock import Quiet
from vault.errors import StoreUnavailable

LIST = b'* LIST () "/" INBOX\r\n'
STATUS = b"* STATUS INBOX (MESSAGES %d UIDNEXT %d UIDVALIDITY 7 HIGHESTMODSEQ %d)\r\nTAG OK\r\n"
EXAMINE = (
    b"* %d EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT %d] ok\r\n* OK [HIGHESTMODSEQ %d] ok\r\n"
    b"TAG OK [READ-ONLY] open\r\n"
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(slots, "MEMORY_KIB", 64)  # which takes no time
    return Site(tmp_path)


def rules(count: int = 9, *, modseq: int = 40, exists: int | None = None) -> dict[str, list[Reply]]:
    """Return what a plain account with one INBOX answers."""
    exists = count if exists is None else exists

    def facts(command: str) -> Iterator[bytes]:
        for uid in uids_of(command, count):
            if uid <= count:
                yield b'* %d FETCH (UID %d FLAGS () INTERNALDATE "01-Jan-2020 00:00:00 +0000" RFC822.SIZE 7)\r\n' % (
                    uid,
                    uid,
                )
        yield b"TAG OK\r\n"

    def bodies(command: str) -> Iterator[bytes]:
        for uid in uids_of(command):
            yield body(uid, b"mail %02d" % uid)
        yield b"TAG OK\r\n"

    return {
        r"^LIST .*STATUS": [LIST + STATUS % (exists, count + 1, modseq)],
        r"^(EXAMINE|SELECT)": [EXAMINE % (exists, count + 1, modseq)],
        r"^UID SEARCH": [b'* ESEARCH (TAG "TAG") UID ALL 1:%d\r\nTAG OK\r\n' % count],
        r"^UID FETCH .*BODY": [bodies],
        r"^UID FETCH .*INTERNALDATE": [facts],
        r"^UID FETCH \S+ \(UID\)": [facts],
    }


def backed_up(site: Site, changes: dict[str, list[Reply]]) -> AccountReport:
    with scripted(Script(changes)) as server:
        return only(site.backup(SourceAccount("anna", server.endpoint(), Login(lambda: PASSWORD))))


def test_the_scripted_account_is_sound_to_begin_with(site: Site) -> None:
    report = backed_up(site, rules())
    assert (report.status, report.messages, report.failures) == ("complete", 9, ())
    assert [seen.octets for seen in site.contents(site.snapshot("anna"))["INBOX"]][3] == b"mail 04"


def test_an_account_that_lists_nothing_at_all_fails_and_changes_nothing(site: Site) -> None:
    backed_up(site, rules())
    before = site.snapshot("anna")
    report = backed_up(site, {r"^(LIST|LSUB)": [b"TAG OK\r\n"]})
    assert (report.status, report.snapshot) == ("failed", before.id)
    assert "not even INBOX" in report.failures[0].reason
    assert site.snapshot("anna") == before


def test_a_server_that_counts_more_than_it_lists_makes_the_snapshot_partial(site: Site) -> None:
    report = backed_up(site, rules(9, exists=12))
    assert report.status == "partial"
    assert "the server counts 12 messages" in report.failures[0].reason
    assert report.messages == 9


def test_messages_missing_from_a_short_listing_are_not_called_gone(site: Site) -> None:
    backed_up(site, rules(9))
    changed = rules(9, modseq=41)
    changed[r"^UID SEARCH"] = [b'* ESEARCH (TAG "TAG") UID ALL 1:4\r\nTAG OK\r\n']
    changed[r"^LIST .*STATUS"] = [LIST + STATUS % (12, 13, 41)]
    changed[r"^(EXAMINE|SELECT)"] = [EXAMINE % (12, 13, 41)]
    report = backed_up(site, changed)
    assert report.status == "partial"
    assert report.messages >= 9


FLAGS = r"^UID FETCH \S+ \(UID FLAGS\)"
FACTS = r"^UID FETCH .*INTERNALDATE"


def with_flags(answers: dict[str, list[Reply]]) -> dict[str, list[Reply]]:
    """Let an account answer as well who asks for all flags."""
    return {FLAGS: answers[FACTS], **answers}


@pytest.mark.parametrize("vanished", [b"* VANISHED (EARLIER) 1:12\r\n", b""], ids=["told", "not told"])
def test_a_mailbox_emptied_under_its_old_uidvalidity_raises_an_alarm_and_comes_back_with_its_mail(
    site: Site, vanished: bytes
) -> None:
    backed_up(site, rules(12))
    before = site.snapshot("anna")
    kept = site.contents(before)
    emptied = rules(12, modseq=41, exists=0)
    emptied[r"^(EXAMINE|SELECT)"] = [vanished + EXAMINE % (0, 13, 41)]
    emptied[r"^UID SEARCH"] = [b'* ESEARCH (TAG "TAG")\r\nTAG OK\r\n']
    report = backed_up(site, emptied)
    assert (report.status, report.messages, report.failures) == ("complete", 0, ())
    assert report.alarms == (
        "mailbox INBOX held 12 messages and is empty now",
        "the account held 12 messages and holds 0 now",
    )
    assert site.snapshot("anna").alarms == report.alarms
    assert site.contents(site.snapshot("anna")) == {"INBOX": []}
    assert site.contents(before) == kept
    healed = backed_up(site, with_flags(rules(12, modseq=42)))
    assert (healed.status, healed.messages, healed.alarms) == ("complete", 12, ())
    assert site.contents(site.snapshot("anna")) == kept


def account_of(*names: bytes) -> dict[str, list[Reply]]:
    """Return what an account with these mailboxes answers, in each of which are the same five messages."""
    words = b'* LIST () "/" %b\r\n* STATUS %b (MESSAGES 5 UIDNEXT 6 UIDVALIDITY 7 HIGHESTMODSEQ 40)\r\n'
    return {**rules(5), r"^LIST .*STATUS": [b"".join(words % (name, name) for name in names) + b"TAG OK\r\n"]}


def test_mailboxes_lost_from_the_listing_raise_an_alarm_and_come_back_with_it(site: Site) -> None:
    whole = account_of(b"INBOX", b"Archive", b"Sent", b"Work")
    assert backed_up(site, whole).messages == 20
    before = site.snapshot("anna")
    kept = site.contents(before)
    report = backed_up(site, account_of(b"INBOX"))
    assert (report.status, report.messages, report.failures) == ("complete", 5, ())
    assert report.alarms == (
        "3 mailboxes with 15 messages are no longer listed",
        "the account held 20 messages and holds 5 now",
    )
    assert site.snapshot("anna").alarms == report.alarms
    assert set(site.contents(site.snapshot("anna"))) == {"INBOX"}
    assert site.contents(before) == kept
    healed = backed_up(site, whole)
    assert (healed.status, healed.messages, healed.alarms) == ("complete", 20, ())
    assert site.contents(site.snapshot("anna")) == kept


class StopAtOnce(Quiet):
    """Ends a run when it is about to read the first message."""

    def __init__(self) -> None:
        self.stop = threading.Event()

    def expect(self, account: str, messages: int, octets: int) -> None:
        self.stop.set()


class DeadAfterCheckpoint(Fault):
    """Nothing can be written once a snapshot was."""

    written = False

    def before(self, call: str, name: str) -> None:
        if call == "put" and self.written:
            raise StoreUnavailable("the store does not answer")
        self.written = self.written or (call == "put" and name.startswith("snapshots/"))


class DeadAtTheEnd(Fault):
    """The run record can't be written."""

    def before(self, call: str, name: str) -> None:
        if call == "put" and name.startswith("runs/"):
            raise StoreUnavailable("the store does not answer")


def stopped(site: Site, account: SourceAccount) -> None:
    stopping = StopAtOnce()
    assert site.backup(account, progress=stopping, stop=stopping.stop).status == "interrupted"


def dead_after_a_checkpoint(site: Site, account: SourceAccount) -> None:
    with pytest.raises(StoreUnavailable):
        site.backup(account, store=FaultyStore(site.store, DeadAfterCheckpoint()))


def dead_at_the_very_end(site: Site, account: SourceAccount) -> None:
    with pytest.raises(StoreUnavailable):
        site.backup(account, store=FaultyStore(site.store, DeadAtTheEnd()))


CUT_SHORT = [stopped, dead_after_a_checkpoint, dead_at_the_very_end]


def cut_short(site: Site, how: Callable[[Site, SourceAccount], None], answers: dict[str, list[Reply]]) -> None:
    """Begin a backup that does not come to its end."""
    with scripted(Script(answers)) as server:
        how(site, SourceAccount("anna", server.endpoint(), Login(lambda: PASSWORD)))


@pytest.mark.parametrize("how", CUT_SHORT)
def test_what_a_run_noticed_that_was_cut_short_is_told_by_the_next_to_come_to_its_end(
    site: Site, how: Callable[[Site, SourceAccount], None]
) -> None:
    assert backed_up(site, account_of(b"INBOX", b"Archive", b"Sent", b"Work")).messages == 20
    site.options = replace(site.options, checkpoint_packs=0, connections=1)
    for _ in range(2):
        cut_short(site, how, account_of(b"INBOX", b"New"))
    told = backed_up(site, account_of(b"INBOX"))
    assert (told.status, told.messages) == ("complete", 5)
    assert "3 mailboxes with 15 messages are no longer listed" in told.alarms
    assert "the account held 20 messages and holds 5 now" in told.alarms
    assert backed_up(site, account_of(b"INBOX")).alarms == ()


@pytest.mark.parametrize("how", CUT_SHORT)
def test_mail_that_is_yet_to_be_read_again_is_not_called_lost(
    site: Site, how: Callable[[Site, SourceAccount], None]
) -> None:
    assert backed_up(site, rules(12)).messages == 12
    site.options = replace(site.options, checkpoint_packs=0, connections=1)
    again = {kind: [renumbered(answer) for answer in answers] for kind, answers in rules(12).items()}
    for _ in range(2):
        cut_short(site, how, again)
    told = backed_up(site, again)
    assert (told.status, told.messages) == ("complete", 12)
    assert told.alarms == ("mailbox INBOX: UIDVALIDITY changed from 7 to 8; all of it is read again",)
    assert backed_up(site, again).alarms == ()


def renumbered(answer: Reply) -> Reply:
    return answer.replace(b"UIDVALIDITY 7", b"UIDVALIDITY 8") if isinstance(answer, bytes) else answer


def test_a_highestmodseq_gone_backward_hides_no_changed_flag_then_nor_later(site: Site) -> None:
    """As on a server that was put back from a backup of its own; whatever it says of changes is not relied on."""
    backed_up(site, rules(9, modseq=40))
    before = site.snapshot("anna")
    kept = site.contents(before)
    (whole,) = rules(9)[FACTS]
    assert callable(whole)

    def facts(command: str) -> Iterator[bytes]:
        for line in whole(command):
            yield line.replace(b"UID 3 FLAGS ()", b"UID 3 FLAGS (\\Flagged)")

    def later(command: str) -> Iterator[bytes]:
        if "QRESYNC (7 30)" in command:
            yield b"* 5 FETCH (UID 5 FLAGS (\\Answered) MODSEQ (31))\r\n"
        yield EXAMINE % (9, 10, 31)

    def flagged() -> dict[int, tuple[str, ...]]:
        return {seen.uid: seen.flags for seen in site.contents(site.snapshot("anna"))["INBOX"] if seen.flags}

    report = backed_up(site, {FLAGS: [facts], **rules(9, modseq=30)})
    assert (report.status, report.messages, report.new_messages) == ("complete", 9, 0)
    assert flagged() == {3: ("\\Flagged",)}
    assert site.contents(before) == kept
    report = backed_up(site, {**rules(9, modseq=31), r"^(EXAMINE|SELECT)": [later]})
    assert (report.status, report.messages, report.new_messages) == ("complete", 9, 0)
    assert flagged() == {3: ("\\Flagged",), 5: ("\\Answered",)}


def test_other_mail_under_old_uids_is_read_with_an_alarm_though_the_uidvalidity_stands(site: Site) -> None:
    def bodies(command: str) -> Iterator[bytes]:
        for uid in uids_of(command):
            yield body(uid, b"else %02d" % uid)
        yield b"TAG OK\r\n"

    backed_up(site, rules(12))
    before = site.snapshot("anna")
    kept = site.contents(before)
    report = backed_up(site, {**rules(5, modseq=41), r"^UID FETCH .*BODY": [bodies]})
    assert (report.status, report.messages) == ("complete", 5)
    assert report.alarms == (
        "mailbox INBOX: UIDNEXT went back from 13 to 6; all of it is read again",
        "the account held 12 messages and holds 5 now",
    )
    held = [seen.octets for seen in site.contents(site.snapshot("anna"))["INBOX"]]
    assert held == [b"else %02d" % uid for uid in range(1, 6)]
    assert site.contents(before) == kept
    grown = backed_up(site, {**rules(6, modseq=42), r"^UID FETCH .*BODY": [bodies]})
    assert (grown.status, grown.messages, grown.new_messages, grown.alarms) == ("complete", 6, 1, ())


def test_a_message_at_which_the_connection_breaks_costs_no_other(site: Site) -> None:
    def bodies(command: str) -> Iterator[bytes]:
        for uid in uids_of(command):
            if uid == 5:
                yield HANG_UP
            yield body(uid, b"mail %02d" % uid)
        yield b"TAG OK\r\n"

    report = backed_up(site, rules() | {r"^UID FETCH .*BODY": [bodies]})
    assert report.status == "partial"
    assert [(f.mailbox, f.uid) for f in report.failures] == [("INBOX", 5)]
    assert report.messages == 8


def test_a_message_that_is_refused_is_named_and_tried_again_by_the_next_run(site: Site) -> None:
    def bodies(command: str) -> Iterator[bytes]:
        uids = uids_of(command)
        if 5 in uids:
            yield b"TAG NO [SERVERBUG] can't read\r\n"
            return
        for uid in uids:
            yield body(uid, b"mail %02d" % uid)
        yield b"TAG OK\r\n"

    report = backed_up(site, rules() | {r"^UID FETCH .*BODY": [bodies]})
    assert [(f.uid, "can't read" in f.reason) for f in report.failures] == [(5, True)]
    healed = backed_up(site, rules())
    assert (healed.status, healed.new_messages, healed.messages) == ("complete", 1, 9)


@pytest.mark.parametrize(
    "hidden, told",
    [
        (b"FLAGS () ", "flags"),
        (b'INTERNALDATE "01-Jan-2020 00:00:00 +0000" ', "date"),
    ],
)
@pytest.mark.parametrize("nil", [True, False])
def test_a_message_whose_flags_or_date_are_not_told_is_kept_and_named_until_they_are(
    site: Site, hidden: bytes, told: str, nil: bool
) -> None:
    sound = rules()
    (whole,) = sound[r"^UID FETCH .*INTERNALDATE"]
    assert callable(whole)

    def facts(command: str) -> Iterator[bytes]:
        for line in whole(command):
            instead = hidden.split(b" ")[0] + b" NIL " if nil else b""
            yield line.replace(hidden, instead) if b"UID 5 " in line else line

    lacking = rules() | {r"^UID FETCH .*INTERNALDATE": [facts]}
    for _ in range(2):
        report = backed_up(site, lacking)
        assert (report.status, report.messages) == ("partial", 9)
        assert [(f.uid, told in f.reason) for f in report.failures] == [(5, True)]
    assert backed_up(site, rules()).status == "complete"
    held = site.contents(site.snapshot("anna"))["INBOX"]
    assert {(seen.flags, seen.internaldate) for seen in held} == {((), "01-Jan-2020 00:00:00 +0000")}
    assert len(held) == 9


def test_flags_that_are_none_are_not_taken_for_no_flags(site: Site) -> None:
    flagged = b"* 3 FETCH (UID 3 FLAGS (\\Flagged) MODSEQ (41))\r\n"
    backed_up(site, rules())
    changed = rules(modseq=41)
    changed[r"^(EXAMINE|SELECT)"] = [flagged + EXAMINE % (9, 10, 41)]
    assert backed_up(site, changed).status == "complete"
    spoilt = rules(modseq=42)
    spoilt[r"^(EXAMINE|SELECT)"] = [flagged.replace(b"(\\Flagged)", b"NIL") + EXAMINE % (9, 10, 42)]
    object.__setattr__(site.options, "patience_seconds", 0.1)
    assert backed_up(site, spoilt).status in {"partial", "failed"}
    assert [seen.uid for seen in site.contents(site.snapshot("anna"))["INBOX"] if seen.flags] == [3]


def test_flags_that_changed_before_a_run_was_cut_short_are_still_learned_by_the_next(site: Site) -> None:
    """The cut run knew the mailbox's new HIGHESTMODSEQ, and not yet what had changed up to it."""

    def opening(command: str) -> Iterator[bytes]:
        if "QRESYNC (7 40)" in command:
            yield b"* 3 FETCH (UID 3 FLAGS (\\Flagged) MODSEQ (41))\r\n"
        yield EXAMINE % (10, 11, 41)

    backed_up(site, rules())
    changed = rules(10, modseq=41)
    changed[r"^(EXAMINE|SELECT)"] = [opening]
    listing = r"^UID (SEARCH|FETCH \d+:\*)"
    assert backed_up(site, {listing: [b"TAG NO not now\r\n"], **changed}).status == "partial"
    assert backed_up(site, changed).status == "complete"
    held = site.contents(site.snapshot("anna"))["INBOX"]
    assert [seen.uid for seen in held if seen.flags] == [3]
    assert len(held) == 10


def test_a_mailbox_that_may_not_be_opened_is_named_and_what_was_kept_stands(site: Site) -> None:
    backed_up(site, rules())
    refused = rules(10, modseq=50) | {r"^(EXAMINE|SELECT)": [b"TAG NO [NOPERM] not yours\r\n"]}
    report = backed_up(site, refused)
    assert (report.status, report.messages) == ("partial", 9)
    assert "not yours" in report.failures[0].reason
    assert backed_up(site, rules(10, modseq=50)).new_messages == 1


@pytest.mark.parametrize(
    "answer",
    [b"* ))) garbage (((\r\n" * 3 + b"\0\xff\r\n" + HANG_UP, SILENCE, HANG_UP],
    ids=["garbage", "silence", "gone"],
)
@pytest.mark.parametrize("where", [r"^LIST", r"^(EXAMINE|SELECT)", r"^UID SEARCH", r"^UID FETCH"])
def test_nonsense_silence_and_hanging_up_end_in_time_and_are_told(site: Site, where: str, answer: bytes) -> None:
    object.__setattr__(site.options, "patience_seconds", 2)
    object.__setattr__(site.options, "timeout_seconds", 1)
    # Who refuses to be asked along with the opening is asked in the ordinary way.
    others: dict[str, list[Reply]] = {r"^UID FETCH \d+:\*": [b"TAG NO not now\r\n"], **rules()}
    report = backed_up(site, {where: [answer], **{known: to for known, to in others.items() if known != where}})
    assert report.status in {"partial", "failed"}
    assert report.failures
