"""What lies in the frozen vaults: few messages, but each thing that the format can say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

from tests.corpus import base64_lines, mail_with, octets, plain_mail
from vault.model import Failure, Mailbox, MessageRow, Tree
from vault.table import flag_table, message_table
from vault.vault import Vault
from vault.waiting import Stretch
from vault.writer import SnapshotDraft, VaultWriter

DATE = "21-Nov-1997 09:55:06 -0600"
ODD_DATE = " 1-Jan-1970 00:00:00 +9999"


@dataclass(frozen=True)
class Message:
    """A message as it stood in a mailbox."""

    uid: int
    octets: bytes
    flags: tuple[str, ...] = ()
    internaldate: str = DATE
    server_id: bytes = b""


@dataclass(frozen=True)
class Folder:
    """A mailbox with its messages."""

    name: str
    raw: bytes
    messages: tuple[Message, ...] = ()
    attributes: tuple[str, ...] = ()
    special_use: str | None = None
    failed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Job:
    """One account as one job found it; `mailboxes` in order of raw name."""

    account: str
    mailboxes: tuple[Folder, ...]
    status: Literal["complete", "partial"] = "complete"


_shared = base64_lines(octets(1_900, 5))
_own = base64_lines(octets(1_500, 6), width=64, end=b"\n")
_twin = plain_mail(3, body=b"Twins stay two.\r\n")

_inbox = (
    Message(1, plain_mail(1), ("\\Seen",), server_id=b"GM-0001"),
    Message(2, mail_with(_shared, number=2, names=(b'name="plan.pdf"',)), ("$Forwarded", "\\Flagged")),
    Message(5, _twin),
    Message(6, _twin, ("\\Answered", "\\Seen")),
    Message(7, plain_mail(4, body=b"one\ntwo\x00three\r\n\xff"), (), ODD_DATE),
    Message(8, b""),
    Message(9, mail_with(_own, number=9, end=b"\n"), ("K\xfcrzel",), "29-Feb-2024 23:59:59 +0545"),
)
# Their hashes end in so many zero bits that this table is four levels high.
_FAR_APART = (1, 2, 3, 10_922, 20_000, 55_360, 92_886, 5_603_630, 5_603_631, 6_000_000, 9_095_562, 9_095_563)
_archive = tuple(Message(uid, _twin, ("\\Seen",) if uid % 2 else ()) for uid in _FAR_APART)

_anna = (
    Folder("Archive", b"Archive", attributes=("\\Noselect", "\\HasChildren")),
    Folder("Archive/2024", b"Archive/2024", _archive),
    Folder("Entw\xfcrfe", b"Entw&APw-rfe", (), ("\\Drafts",), "\\Drafts"),
    Folder("INBOX", b"INBOX", _inbox),
)
_late = Message(11, plain_mail(11, body=b"The newest.\r\n" * 30))
_anna_later = (*_anna[:3], Folder("INBOX", b"INBOX", (*_inbox[1:], _late)))
_bo = (Folder("INBOX", b"INBOX", (Message(1, mail_with(_shared, number=20)), Message(2, plain_mail(21))), failed=(3,)),)

JOBS = (Job("anna@example.org", _anna), Job("bo@example.org", _bo, "partial"), Job("anna@example.org", _anna_later))


def write_job(writer: VaultWriter, vault: Vault, job: Job, started: datetime) -> None:
    """Write one account's snapshot, and the run record of a job that looked at it alone."""
    mailboxes = tuple(_write_mailbox(writer, vault, job, folder) for folder in job.mailboxes)
    tree = writer.add_meta(msgspec.json.encode(Tree(mailboxes, prefix="INBOX." if job.status == "partial" else "")))
    writer.flush()
    messages = [m for folder in job.mailboxes for m in folder.messages]
    failures = tuple(Failure(f.name, uid, "the server would not give it") for f in job.mailboxes for uid in f.failed)
    alarms = ("INBOX: 1 message is gone since the last snapshot",) if failures else ()
    draft = SnapshotDraft(
        job.account, job.status, tree, len(mailboxes), len(messages), sum(len(m.octets) for m in messages),
        failures, alarms,
    )  # fmt: skip
    snapshot = writer.write_snapshot(draft)
    writer.write_run(started, [(job.account, snapshot.id, job.status)])


def _write_mailbox(writer: VaultWriter, vault: Vault, job: Job, folder: Folder) -> Mailbox:
    account = vault.ring.account_id(job.account)
    row_list = [
        MessageRow(
            m.uid, writer.add_message(m.octets, Stretch()).blob, len(m.octets), m.internaldate,
            vault.ring.server_id_hash(account, "X-GM-MSGID", m.server_id) if m.server_id else b"",
        )
        for m in folder.messages
    ]  # fmt: skip
    rows, flags = message_table(writer.read_meta, None), flag_table(writer.read_meta, None)
    rows.update(row_list, [], writer.add_meta)
    flags.update([(m.uid, m.flags) for m in folder.messages], [], writer.add_meta)
    return Mailbox(
        name=folder.name, raw=folder.raw, delimiter="/", attributes=folder.attributes, special_use=folder.special_use,
        subscribed=not folder.attributes, uidvalidity=7, uidnext=max((m.uid for m in folder.messages), default=0) + 1,
        highestmodseq=1 << 62 if folder.name == "INBOX" else None, messages=len(folder.messages),
        octets=sum(len(m.octets) for m in folder.messages), rows=rows.write_root(writer.add_meta),
        flags=flags.write_root(writer.add_meta), failed=folder.failed, complete=not folder.failed,
    )  # fmt: skip
