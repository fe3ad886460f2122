"""Each answer of a real server comes to harm, in each way we know: no crash, no hang, no wrong octet, nothing hidden.

There are some thousands of these; every so many-th is taken. `RESTANTE_TEST_SWEEP=1` takes all, which takes an hour;
another number takes every that many-th.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pytest

from backup import AccountReport, BackupOptions, SourceAccount
from imap.model import Login
from imap.url import parse_url
from tests.backup.site import Site, account, only, served
from tests.corpus import MESSAGES, TWINS, plain_mail
from tests.fuzz.tamper import Harm, harms, tampering
from tests.servers import DovecotServer
from tests.servers.maildir import Mail, deliver
from tests.servers.wire import Seen
from vault.keyring import export_key
from vault.slots import KeyFile, Passphrase
from vault.stores.base import WriteStore
from vault.stores.local import LocalStore
from vault.vault import Vault, open_vault

Held = dict[str, list[Seen]]

EVERY = int(os.environ.get("RESTANTE_TEST_SWEEP", "89"))
SHARES = 4
OPTIONS = BackupOptions(connections=1, patience_seconds=0.4, timeout_seconds=20)


@dataclass
class Copy(Site):
    """A vault that is there already, opened without the time that a passphrase takes."""

    key: bytes = b""

    def __post_init__(self) -> None:
        self.store = LocalStore(self.directory / "vault")

    def open(self, store: WriteStore | None = None) -> Vault:
        return open_vault(store or self.store, KeyFile(self.key))


@dataclass
class Case:
    """An account, a vault as it was before the run that is harmed, and how the run's conversation goes."""

    server: DovecotServer
    user: str
    site: Copy
    truth: Held
    before: Held
    answers: list[bytes]

    def again(self, directory: Path) -> Copy:
        """Return a copy of the vault."""
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(self.site.directory, directory)
        return Copy(directory, "", OPTIONS, key=self.site.key)

    def source(self, port: int) -> SourceAccount:
        """Return the account as it is seen through a proxy."""
        endpoint = replace(parse_url(self.server.url(self.user)), port=port)
        return SourceAccount(self.user, endpoint, Login(lambda: self.server.password(self.user)))


MOMENT = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)


def filled(server: DovecotServer) -> str:
    user = server.new_user().name
    deliver(server, user, "INBOX", [TWINS[0], Mail(MESSAGES["no Message-ID"], ("\\Seen", "Urgent"), MOMENT)])
    deliver(server, user, "Sent", [Mail(plain_mail(1), ("\\Answered",)), plain_mail(2)])
    deliver(server, user, "Grüße", [plain_mail(3)])
    return user


def changed(server: DovecotServer, user: str) -> None:
    """Let something of each kind happen to the account."""
    with server.open(user) as imap:
        imap.do("SELECT INBOX")
        imap.do("UID STORE 1 +FLAGS (\\Flagged)")
        imap.append("INBOX", plain_mail(4), ("\\Seen",))
        imap.do("SELECT Sent")
        imap.do("UID STORE 1 +FLAGS (\\Deleted)")
        imap.do("EXPUNGE")
        imap.create("New")
        imap.append("New", plain_mail(5))


@pytest.fixture(params=["first", "incremental", "incremental without extensions"])
def case(
    request: pytest.FixtureRequest, dovecot: DovecotServer, start_dovecot: Callable[..., DovecotServer], tmp_path: Path
) -> Case:
    server = dovecot
    if "without" in request.param:
        server = start_dovecot(without={"CONDSTORE", "QRESYNC", "ESEARCH", "ENABLE", "LIST-STATUS", "OBJECTID"})
    user = filled(server)
    made = Site(tmp_path / "made", options=OPTIONS)
    key = export_key(made.store, Passphrase(made.passphrase), backup_only=False)
    site = Copy(tmp_path / "made", "", OPTIONS, key=key)
    before: Held = {}
    if request.param != "first":
        assert only(site.backup(account(server, user))).status == "complete"
        before = served(server, user)
        changed(server, user)
    case = Case(server, user, site, served(server, user), before, [])
    with tampering(server.port) as proxy:
        sound = case.again(tmp_path / "sound")
        assert only(sound.backup(case.source(proxy.port))).status == "complete"
        assert sound.contents(sound.snapshot(user)) == case.truth
        case.answers = proxy.heard
    return case


def chosen(answers: list[bytes], share: int) -> Iterator[tuple[int, str, Harm]]:
    """Choose which answers to harm how: one share of what is taken."""
    every = product(enumerate(answers), harms().items())
    pairs = [(number, name, harm) for (number, answer), (name, harm) in every if harm(answer) != [answer]]
    yield from pairs[share * EVERY :: SHARES * EVERY]


@pytest.mark.timeout(120 if EVERY > 60 else 7200)
@pytest.mark.parametrize("share", range(SHARES))
def test_whatever_becomes_of_an_answer_the_snapshot_is_complete_or_honestly_partial(
    case: Case, share: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backup.patience._FIRST_WAIT", 0.005)
    wrong = []
    for number, name, harm in chosen(case.answers, share):
        site = case.again(tmp_path / "harmed")
        if name.startswith("silence"):
            site.options = replace(OPTIONS, timeout_seconds=0.5)
        with tampering(case.server.port, number, harm) as proxy:
            try:
                report = only(site.backup(case.source(proxy.port)))
            except Exception as error:  # noqa: BLE001  # a crash is told with the answer it came from
                wrong.append((name, case.answers[number][:100], f"crash: {error!r}"))
                continue
        fault = dishonest(site, case, report) or unhealed(site, case)
        if fault:
            wrong.append((name, case.answers[number][:100], fault))
    assert wrong == []


def dishonest(site: Copy, case: Case, report: AccountReport) -> str:
    """Say what is wrong with what a run kept, or with what it says of it; empty where nothing is."""
    held: Held = {}
    if site.open().snapshots(case.user):
        held = site.contents(site.snapshot(case.user))
    for name, mails in held.items():
        known = [*case.truth.get(name, []), *case.before.get(name, [])]
        named = {failure.uid for failure in report.failures if failure.mailbox == name}
        undated = [seen._replace(internaldate="") for seen in known if seen.uid in named]
        unflagged = [seen._replace(flags=()) for seen in known if seen.uid in named]
        strange = [seen for seen in mails if seen not in [*known, *undated, *unflagged]]
        if strange:
            return f"{report.status}, but {name} holds what never was: {strange[0]}"
    if report.status == "complete" and held != case.truth:
        lost = {name: len(mails) - len(held.get(name, [])) for name, mails in case.truth.items()}
        return f"complete, but not what the server has: {lost}"
    if report.status != "complete" and not report.failures:
        return f"{report.status}, and nothing says why"
    return ""


def unhealed(site: Copy, case: Case) -> str:
    """Say what the next run against the healthy server leaves wrong."""
    site.options = OPTIONS
    report = only(site.backup(account(case.server, case.user)))
    if report.status != "complete" or site.contents(site.snapshot(case.user)) != case.truth:
        return f"not healed: {report.status} {report.failures}"
    return ""
