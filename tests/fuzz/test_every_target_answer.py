"""Each answer of a target comes to harm: what the report says is true, and a second restore leaves all there once.

`RESTANTE_TEST_SWEEP=1` takes every answer and every harm; otherwise every so many-th is taken.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from imap.errors import ImapError
from imap.model import Endpoint, Login
from restore.targets.imap import ImapTarget
from tests.backup.site import Site, account
from tests.corpus import MESSAGES, TWINS, plain_mail
from tests.fuzz.tamper import Harm, harms, tampering
from tests.restore.replay import Held, held, restore, to_server
from tests.servers import DovecotServer, ImapServer
from tests.servers.maildir import Mail, deliver
from vault.errors import Trouble
from vault.model import Snapshot
from vault.vault import Vault

EVERY = int(os.environ.get("RESTANTE_TEST_SWEEP", "53"))
SHARES = 4
_CODE = re.compile(rb"\[APPENDUID (\d+) [0-9:,]+\]")

STORED: dict[str, Callable[[bytes], bytes]] = {
    "no APPENDUID": lambda unit: _CODE.sub(b"", unit),
    "a wrong APPENDUID": lambda unit: _CODE.sub(rb"[APPENDUID \1 1:99]", unit),
    "the APPENDUID of others": lambda unit: _CODE.sub(rb"[APPENDUID \1 1]", unit),
    "an absurd APPENDUID": lambda unit: _CODE.sub(rb"[APPENDUID 7 " + b"9" * 5000 + b"]", unit),
    "a broken APPENDUID": lambda unit: _CODE.sub(b"[APPENDUID ))", unit),
}


def all_harms() -> dict[str, Harm]:
    found = harms()
    for name, change in STORED.items():
        found[name] = lambda unit, change=change: [change(unit)]  # type: ignore[misc]
    found["an answer to another command"] = lambda unit: [re.sub(rb"\AR\d+ ", b"R4711 ", unit)]
    return found


@dataclass
class Case:
    """A vault with one account, and a target that holds some of it already."""

    vault: Vault
    site: Site
    snapshot: Snapshot
    server: ImapServer
    whole: Held

    def heir(self) -> str:
        """Return a new account that holds what an earlier restore brought: some of the mail, without its flags."""
        name = self.server.new_user().name
        with self.server.open(name) as imap:
            imap.append("INBOX", TWINS[0])
            imap.append("INBOX", plain_mail(777))
        return name

    def restore(self, heir: str, port: int, timeout: float) -> str:
        """Restore through a proxy; return the report's status, or `lost` where the restore gave up aloud."""
        endpoint = Endpoint("127.0.0.1", port, heir, "off")
        login = Login(lambda: self.server.password(heir))
        target = ImapTarget(endpoint, login, connections=1, patience=0.3, timeout=timeout)
        try:
            report = restore(self.site, self.snapshot, target, vault=self.vault)
        except (ImapError, Trouble):
            return "lost"
        return report.status if report.failures or report.status == "complete" else "silent"


@pytest.fixture(params=["second_dovecot", "courier"])
def case(request: pytest.FixtureRequest, dovecot: DovecotServer, tmp_path: Path) -> Case:
    site, user = Site(tmp_path), dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [TWINS[0], Mail(MESSAGES["no Message-ID"], ("\\Seen",))])
    deliver(dovecot, user, "Work", [Mail(plain_mail(1), ("\\Seen", "\\Flagged")), plain_mail(2)])
    site.backup(account(dovecot, user))
    server: ImapServer = request.getfixturevalue(request.param)
    case = Case(site.open(), site, site.snapshot(user), server, {})
    heir = case.heir()
    report = restore(site, case.snapshot, to_server(server, heir), vault=case.vault)
    assert (report.status, report.restored, report.skipped) == ("complete", 3, 1)
    case.whole = held(server, heir)
    return case


def answers(case: Case) -> list[bytes]:
    with tampering(case.server.port) as proxy:
        assert case.restore(case.heir(), proxy.port, 20) == "complete"
        return proxy.heard


def chosen(heard: list[bytes], share: int) -> Iterator[tuple[int, str, Harm]]:
    every = product(enumerate(heard), all_harms().items())
    pairs = [(number, name, harm) for (number, answer), (name, harm) in every if harm(answer) != [answer]]
    yield from pairs[share * EVERY :: SHARES * EVERY]


@pytest.mark.timeout(120 if EVERY > 40 else 7200)
@pytest.mark.parametrize("share", range(SHARES))
def test_whatever_becomes_of_a_targets_answer_a_second_restore_leaves_all_there_once(
    case: Case, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.targets.imap._FIRST_WAIT", 0.005)
    wrong = []
    heard = answers(case)
    for number, name, harm in chosen(heard, share):
        heir = case.heir()
        with tampering(case.server.port, number, harm) as proxy:
            try:
                status = case.restore(heir, proxy.port, 0.5 if name.startswith("silence") else 20)
            except Exception as error:  # noqa: BLE001  # a crash is told with the answer it came from
                wrong.append((name, heard[number][:100], f"crash: {error!r}"))
                continue
        fault = untrue(case, heir, status) or unhealed(case, heir)
        if fault:
            wrong.append((name, heard[number][:100], fault))
    assert wrong == []


def untrue(case: Case, heir: str, status: str) -> str:
    """Say what the target holds that it should not, or lacks although the report says that all is there."""
    there = held(case.server, heir)
    known = {octets for mails in case.whole.values() for octets, _, _ in mails}
    if any(octets not in known for mails in there.values() for octets, _, _ in mails):
        return f"{status}, but a message came out wrong"
    if status == "silent" or (status == "complete" and there != case.whole):
        return f"{status}, but {_difference(there, case.whole)}"
    return ""


def unhealed(case: Case, heir: str) -> str:
    """Say what a second restore, undisturbed, leaves wrong."""
    report = restore(case.site, case.snapshot, to_server(case.server, heir), vault=case.vault, verify=True)
    there = held(case.server, heir)
    counts = {name: sorted(octets for octets, _, _ in mails.elements()) for name, mails in there.items()}
    if counts != {name: sorted(octets for octets, _, _ in mails.elements()) for name, mails in case.whole.items()}:
        return f"not healed: {_difference(there, case.whole)}"
    return "" if report.status == "complete" else f"not healed: {report.failures}"


def _difference(there: Held, whole: Held) -> str:
    found = []
    for name in {*there, *whole}:
        now, then = there.get(name, Counter()), whole.get(name, Counter())
        found.append(f"{name} lacks {[m[1:] for m in then - now]} and has {[m[1:] for m in now - then]} too many")
    return "; ".join(found)
