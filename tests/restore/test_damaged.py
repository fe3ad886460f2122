"""A restore from a vault in which one block is bad: exactly the mail that lies there is named, all other comes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.backup.site import Site, account, served
from tests.corpus import base64_lines, mail_with, octets, plain_mail
from tests.faults import flip
from tests.restore.replay import restore, to_files
from tests.servers import DovecotServer
from tests.servers.maildir import deliver
from vault import slots
from vault.ids import BlobId
from vault.keys import KeyRing
from vault.pack import Block, directory_span, open_directory
from vault.packer import PackLimits
from vault.seal import HEADER_SIZE

Place = tuple[str, int]
"""A message: its mailbox and UID."""


def note(number: int) -> bytes:
    """Build a small mail, some of which share a block."""
    return plain_mail(number, body=octets(300, number).hex().encode() + b"\r\n")


LOGO, REPORT = octets(6_000, 1), octets(9_000, 2)
ATTACHMENTS = {
    mail_with(*map(base64_lines, found), number=number): found
    for number, found in enumerate([(LOGO,), (REPORT,), (LOGO, REPORT), (LOGO,)], 100)
}
"""Mails, each with what is attached to it."""
FIRST, *OTHERS = ATTACHMENTS
MAILS = {
    "INBOX": [*map(note, range(20)), FIRST, *OTHERS[:2]],
    "Work": [note(3), FIRST, OTHERS[2], *map(note, range(50, 60))],
}


@dataclass
class Kept:
    """A vault of many small blocks that holds one account."""

    site: Site
    user: str
    truth: dict[Place, bytes]
    ring: KeyRing

    def blocks(self) -> Iterator[tuple[Path, Block]]:
        """Yield every block of every pack, as the pack itself tells them."""
        for path in self.packs():
            data, ring = path.read_bytes(), self.ring
            start, length = directory_span(len(data), data[-4:], path.name)
            sealed = data[start : start + length]
            directory = open_directory(ring.vault_id, ring.meta_key, "P", data[:HEADER_SIZE], sealed, path.name)
            yield from ((path, block) for block in directory.blocks)

    def packs(self) -> list[Path]:
        return sorted((self.site.directory / "vault" / "packs").glob("*/*"))

    def lying_in(self, block: Block) -> set[Place]:
        """Return the messages of which something lies in a block."""
        inside = {blob for blob, _ in block.blobs}
        return {place for place, mail in self.truth.items() if inside & self._blobs(mail)}

    def _blobs(self, mail: bytes) -> set[BlobId]:
        pieces = (self.ring.blob_id(b"piece", content) for content in ATTACHMENTS.get(mail, ()))
        return {self.ring.blob_id(b"message", mail), *pieces}


@pytest.fixture
def kept(dovecot: DovecotServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    monkeypatch.setattr(slots, "MEMORY_KIB", 64)
    site, user = Site(tmp_path), dovecot.new_user().name
    object.__setattr__(site.options, "limits", PackLimits(pack=12_000, block=3_000, alone=4_000, message_alone=4_000))
    for mailbox, mails in MAILS.items():
        deliver(dovecot, user, mailbox, mails)
    assert site.backup(account(dovecot, user)).status == "complete"
    truth = {(name, seen.uid): seen.octets for name, mails in served(dovecot, user).items() for seen in mails}
    return Kept(site, user, truth, site.open().ring)


def restored(directory: Path) -> dict[Place, bytes]:
    """Return what lies in a directory of `.eml` files."""
    files = directory.glob("*/*.eml")
    return {(path.parent.name, int(path.name.partition("-")[0])): path.read_bytes() for path in files}


def test_a_bad_block_costs_the_mail_in_it_and_no_other(kept: Kept, tmp_path: Path) -> None:
    costs = []
    for n, (pack, block) in enumerate(kept.blocks()):
        whole, out = pack.read_bytes(), tmp_path / f"{n}"
        pack.write_bytes(flip(whole, block.offset + block.stored // 2))
        report = restore(kept.site, kept.site.snapshot(kept.user), to_files(f"eml:{out}"))
        pack.write_bytes(whole)
        lost = kept.lying_in(block)
        assert {(failure.mailbox, failure.uid) for failure in report.failures} == lost
        assert len(report.failures) == len(lost)
        assert all(pack.name in failure.reason for failure in report.failures)
        assert restored(out) == {place: mail for place, mail in kept.truth.items() if place not in lost}
        assert report.restored == len(kept.truth) - len(lost)
        assert report.status == ("partial" if lost else "complete")
        costs.append(len(lost))
    assert len(kept.packs()) > 1
    assert len(costs) > 8
    assert {0, 2, 4} <= set(costs), "a catalogue, REPORT, LOGO"
    assert max(costs) < len(kept.truth) / 2


def test_a_bad_directory_costs_no_mail_since_the_index_says_the_same(kept: Kept, tmp_path: Path) -> None:
    for pack in kept.packs():
        pack.write_bytes(flip(pack.read_bytes(), -40))
    report = restore(kept.site, kept.site.snapshot(kept.user), to_files(f"eml:{tmp_path / 'out'}"))
    assert (report.status, report.failures) == ("complete", ())
    assert restored(tmp_path / "out") == kept.truth
