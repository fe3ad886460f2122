"""The whole way, shown on servers inside this process: backup, loss of the server, restore, comparison."""

from __future__ import annotations

import secrets
import shutil
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backup.job import run_backup
from backup.model import AccountReport, BackupOptions, BackupReport, SourceAccount
from imap.model import Login, Outgoing
from imap.names import encode_name
from imap.session import Session, open_session
from imap.url import parse_url
from restante.demo_compare import differences, made, read_account
from restante.demo_mail import MAILBOXES, SUBSCRIBED, DemoMail, demo_mails
from restante.demo_server import DemoServer, demo_server
from restante.errors import UsageTrouble
from restante.output import count, duration, print_line, size
from restore import Filters, Mapping, execute_restore, make_plan, open_target
from vault.clock import Quiet, SystemClock
from vault.keyring import init_vault
from vault.slots import Passphrase
from vault.stores import open_store
from vault.vault import Vault, open_vault

USER = "anna@example.org"


@dataclass(frozen=True)
class Room:
    """Where the demo's vault lies, and the file beside it with its passphrase."""

    directory: Path
    passphrase_file: Path
    passphrase: str

    @property
    def url(self) -> str:
        """The vault as `--vault` takes it."""
        return f"file://{self.directory.absolute()}"

    def open(self) -> Vault:
        """Open the vault with nothing but the passphrase."""
        return open_vault(open_store(self.url), Passphrase(self.passphrase))


def run_demo(directory: Path) -> bool:
    """Show the whole way, leave the vault in `directory`, and say whether everything came back as it was.

    Raises UsageTrouble where something else is in that place.
    """
    room, mails = _make_room(directory), demo_mails()
    with demo_server(USER) as old:
        _step(1, "A mail server, with one account and mail of all kinds")
        _fill(old, mails)
        _step(2, "A vault in a directory; a bucket works the same")
        _make_vault(room)
        _step(3, "The first backup")
        _show_backup(_back_up(room, old))
        _step(4, "A second backup, nothing having changed")
        _show_backup(_back_up(room, old))
    _step(5, "The mail server is lost, with all that was on it. A new, empty one takes its place")
    with demo_server(USER) as new:
        _step(6, "Restore, from the vault and its passphrase alone")
        _restore(room, new)
        _step(7, "The same restore again: what is there already must not come twice")
        _restore(room, new)
        _step(8, "Comparison of the new server with what was on the old one, message by message")
        same = _compare(new, mails)
    _say_goodbye(room)
    return same


def _step(number: int, what: str) -> None:
    print_line()
    print_line(f"{number}. {what}.")


def _say(text: str) -> None:
    print_line(f"   {text}")


def _make_room(directory: Path) -> Room:
    passphrase_file = directory.with_name(f"{directory.name}.passphrase")
    if directory.exists():
        if not passphrase_file.exists():
            hint = "choose another place with --vault-dir"
            raise UsageTrouble(f"{directory} is there already, and no demo made it", hint=hint)
        shutil.rmtree(directory)
    return Room(directory, passphrase_file, "-".join(secrets.token_hex(3) for _ in range(4)))


def _make_vault(room: Room) -> None:
    init_vault(open_store(room.url), room.passphrase)
    room.passphrase_file.unlink(missing_ok=True)
    room.passphrase_file.touch(mode=0o600)
    room.passphrase_file.write_text(room.passphrase + "\n")
    _say(f"{room.directory}, its passphrase in {room.passphrase_file}")


def _session(server: DemoServer) -> Session:
    return open_session(parse_url(server.url), _login(server))


def _login(server: DemoServer) -> Login:
    return Login(lambda: server.password)


def _fill(server: DemoServer, mails: Sequence[DemoMail]) -> None:
    with _session(server) as session:
        for name in MAILBOXES:
            session.create(encode_name(name))
        for name in SUBSCRIBED:
            session.subscribe(encode_name(name))
        for name in ("INBOX", *MAILBOXES):
            messages = [Outgoing(m.octets, m.flags, m.internaldate) for m in mails if m.mailbox == name]
            if messages:
                session.append(encode_name(name), messages)
    octets = sum(len(mail.octets) for mail in mails)
    _say(f"{USER}: {count(1 + len(MAILBOXES), 'mailbox', 'mailboxes')}, {count(len(mails), 'message')}, {size(octets)}")


def _back_up(room: Room, server: DemoServer) -> BackupReport:
    vault = room.open()
    source = SourceAccount(USER, parse_url(server.url), _login(server))
    return run_backup(
        vault,
        open_store(room.url),
        [source],
        options=BackupOptions(),
        clock=SystemClock(),
        progress=Quiet(),
        stop=threading.Event(),
    )


def _show_backup(report: BackupReport) -> None:
    [account] = report.accounts
    _say(f"{report.status} in {duration(report.seconds)}, {count(account.round_trips, 'round trip')} to the server")
    _say(_news(account))
    wrote = f"{size(report.store_octets)} in {count(report.store_puts, 'object')}"
    _say(f"written to the vault: {wrote}")


def _news(account: AccountReport) -> str:
    if not account.new_messages:
        return "no new message, no message read: the snapshot that is there still stands, and is confirmed"
    linked = f", {account.linked_messages} more not read twice" if account.linked_messages else ""
    return f"{count(account.new_messages, 'new message')}{linked}, {size(account.octets)}"


def _restore(room: Room, server: DemoServer) -> None:
    vault = room.open()
    target = open_target(server.url, lambda _: _login(server), room.directory.parent / "ledgers")
    plan = make_plan(vault, vault.find(USER), target, Filters(), Mapping())
    report = execute_restore(vault, plan, target, verify=True, progress=Quiet(), stop=threading.Event())
    _say(f"{report.status} in {duration(report.seconds)}: {count(report.restored, 'message')} restored")
    _say(f"{report.skipped:,} were there already; {report.verified:,} read back, octet for octet the same")
    for line in [f"{a.mailbox}: {a.what}" for a in report.altered] + [
        f"{f.mailbox}: {f.reason}" for f in report.failures
    ]:
        _say(line)


def _compare(server: DemoServer, mails: Sequence[DemoMail]) -> bool:
    before = made(mails)
    with _session(server) as session:
        found = list(differences(before, read_account(session)))
    for line in found:
        _say(f"DIFFERENT  {line}")
    same = "octets, flags, keywords, dates with their zones"
    if not found:
        _say(f"{count(len(mails), 'message')}: {same}: all as before")
        _say(f"{count(len(before), 'mailbox', 'mailboxes')}: names, subscriptions, roles: all as before")
    return not found


def _say_goodbye(room: Room) -> None:
    print_line()
    print_line(f"The vault stays in {room.directory}. Look around in it:")
    print_line()
    program = "restante" if shutil.which("restante") else sys.argv[0]
    print_line(f"   export RESTANTE_PASSPHRASE_FILE={room.passphrase_file}")
    for command in ("snapshots", f"ls {USER}", f"ls {USER} INBOX", "check --read"):
        print_line(f"   {program} {command} --vault {room.url}")
