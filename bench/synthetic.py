"""`python -m bench.synthetic BLOBS…`: what a vault of so many blobs costs to open, search, prune and check.

The vault is made up: invented ids in packs that are holes of the right size, but true keys, and indexes, tables and
snapshots in their true form. So everything can be measured that reads no mail. Each step runs in a process of its own.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from backup.prune import run_prune
from backup.retention import Policy
from vault.check import check_vault
from vault.clock import SystemClock
from vault.ids import BlobId, ObjectName, PackId, SessionId, SnapshotId
from vault.index import seal_index
from vault.internaldate import format_internaldate
from vault.keyring import export_key, init_vault, unlock
from vault.keys import KeyRing
from vault.meta import meta_object
from vault.model import Mailbox, MessageRow, Snapshot, Tree
from vault.pack import Block, Directory, PackEntry, pack_entry
from vault.records import new_name, rfc3339, seal_record, snapshot_name
from vault.seal import HEADER_SIZE
from vault.slots import KeyFile, Passphrase
from vault.stores.local import LocalStore
from vault.table import flag_table, message_table
from vault.uses import encode_uses
from vault.vault import Vault, open_vault

PACKS_A_RUN, MESSAGES_A_PACK, PIECES_A_PACK, MESSAGES_A_BLOCK, MAILBOXES = 32, 819, 205, 63, 10
BLOBS_A_PACK = MESSAGES_A_PACK + PIECES_A_PACK
STORED = 16 << 10
"""What a blob takes in a pack, in octets: as in the office of bench/README.md."""
LOOKED_UP = 10_000


class Builder:
    """Fills a new vault, a run at a time: so many packs, one account, one index object."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._random = random.Random(5)
        self._store = LocalStore(root / "vault")
        secret = Passphrase(self._random.randbytes(20).hex())
        init_vault(self._store, secret.text)
        (root / "key").write_bytes(export_key(self._store, secret, backup_only=False))
        self._ring: KeyRing = unlock(self._store, secret)
        self._known: list[str] = []
        self._moment = datetime.now(UTC) - timedelta(days=40)

    def build(self, blobs: int) -> None:
        """Make so many blobs, up to a pack's."""
        packs = -(-blobs // BLOBS_A_PACK)
        for number, first in enumerate(range(0, packs, PACKS_A_RUN)):
            self._run(number, min(PACKS_A_RUN, packs - first))
        (self._root / "known").write_text("\n".join(self._random.sample(self._known, min(LOOKED_UP, len(self._known)))))

    def _run(self, number: int, packs: int) -> None:
        self._moment += timedelta(minutes=10)
        session, _ = self._ring.new_session()
        messages: list[BlobId] = []
        uses: dict[BlobId, tuple[BlobId, ...]] = {}
        entries = []
        for n in range(packs):
            own, pieces = self._ids(MESSAGES_A_PACK), self._ids(PIECES_A_PACK)
            uses.update((message, (piece,)) for message, piece in zip(own, pieces, strict=False))
            directory = Directory("P", tuple(_blocks(session.id, n * 1000, own, pieces)), (session,))
            entries.append(self._pack(directory))
            messages += own
        self._known += [blob.hex() for blob in self._random.sample(messages, min(len(messages), 2000))]
        told, directory = meta_object(self._ring, {}, encode_uses([e.id for e in entries], uses))
        entries.append(self._put(told, directory))
        account = f"user{number}@example.org"
        tree, pages = self._tree(messages)
        entries += [self._put(*meta_object(self._ring, some)) for some in _by_size(pages)]
        name = ObjectName(f"index/{new_name(self._moment)}")
        self._store.put(name, seal_index(self._ring, name, entries))
        self._snapshot(account, tree, len(messages))

    def _ids(self, count: int) -> list[BlobId]:
        octets = self._random.randbytes(16 * count)
        return [BlobId(octets[i : i + 16]) for i in range(0, len(octets), 16)]

    def _pack(self, directory: Directory) -> PackEntry:
        entry = PackEntry(PackId(self._random.randbytes(32)), directory.blocks[-1].offset + STORED, directory)
        path = self._root / "vault" / entry.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(entry.size)
        return entry

    def _put(self, data: bytes, directory: Directory) -> PackEntry:
        entry = pack_entry(data, directory)
        self._store.put(entry.name, data)
        return entry

    def _tree(self, messages: list[BlobId]) -> tuple[BlobId, dict[BlobId, bytes]]:
        pages: dict[BlobId, bytes] = {}

        def put(content: bytes) -> BlobId:
            blob = self._ring.blob_id(b"meta", content)
            pages[blob] = b"\0" + content
            return blob

        def read(blob: BlobId) -> bytes:
            return pages[blob][1:]

        boxes = []
        for n in range(MAILBOXES):
            own = messages[n::MAILBOXES]
            moments = sorted(self._random.randrange(1_500_000_000, 1_790_000_000) for _ in own)
            rows, flags = message_table(read, None), flag_table(read, None)
            rows.update(
                [
                    MessageRow(uid, blob, 80_000, format_internaldate(moment, 60), blob[:8])
                    for uid, (blob, moment) in enumerate(zip(own, moments, strict=True), 1)
                ],
                [],
                put,
            )
            flags.update([(uid, ("\\Seen",)) for uid in range(1, len(own) + 1)], [], put)
            boxes.append(
                Mailbox(
                    name=f"Box{n}", raw=f"Box{n}".encode(), delimiter="/", uidvalidity=1, uidnext=len(own) + 1,
                    messages=len(own), octets=80_000 * len(own), rows=rows.write_root(put), flags=flags.write_root(put),
                )
            )  # fmt: skip
        return put(msgspec.json.encode(Tree(tuple(boxes)))), pages

    def _snapshot(self, account: str, tree: BlobId, messages: int) -> None:
        owner = self._ring.account_id(account)
        snapshot = Snapshot(
            id=SnapshotId(new_name(self._moment)), account=account, account_id=owner, time=rfc3339(self._moment),
            status="complete", tree=tree, mailboxes=MAILBOXES, messages=messages, octets=80_000 * messages, sequence=1,
            previous="",
        )  # fmt: skip
        name = snapshot_name(owner, snapshot.id)
        self._store.put(name, seal_record(self._ring, "S", name, snapshot))


def _blocks(session: SessionId, counter: int, messages: list[BlobId], pieces: list[BlobId]) -> Iterator[Block]:
    """Yield solid blocks of messages, a block for each piece, and one of a catalogue."""
    groups = [messages[i : i + MESSAGES_A_BLOCK] for i in range(0, len(messages), MESSAGES_A_BLOCK)]
    groups += [[piece] for piece in pieces] + [[]]
    offset = HEADER_SIZE
    for n, group in enumerate(groups):
        sizes = tuple((blob, STORED * 2 + blob[0] * 8) for blob in group)
        stored = max(1, len(group)) * STORED
        yield Block(session, counter + n, offset, stored, sum(size for _, size in sizes) or STORED * 2, sizes)
        offset += stored


def _by_size(pages: dict[BlobId, bytes]) -> Iterator[dict[BlobId, bytes]]:
    some: dict[BlobId, bytes] = {}
    octets = 0
    for blob, stored in pages.items():
        some[blob] = stored
        octets += len(stored)
        if octets >= 16 << 20:
            yield some
            some, octets = {}, 0
    if some:
        yield some


def _open(root: Path) -> Vault:
    return open_vault(LocalStore(root / "vault"), KeyFile((root / "key").read_bytes()), cache=root / "cache")


def _cold(root: Path) -> None:
    shutil.rmtree(root / "cache", ignore_errors=True)
    _open(root).refresh()


def _warm(root: Path) -> None:
    _open(root).refresh()


def _lookup(root: Path) -> None:
    vault = _open(root)
    known = [BlobId(bytes.fromhex(line)) for line in (root / "known").read_text().split()]
    unknown = [BlobId(random.Random(i).randbytes(16)) for i in range(LOOKED_UP)]
    assert all(vault.index.has(blob) for blob in known)
    assert not any(vault.index.has(blob) for blob in unknown)


def _start(root: Path) -> None:
    from vault.writer import VaultWriter

    vault = _open(root)
    VaultWriter(vault, LocalStore(root / "vault"), clock=SystemClock()).close()


def _prune(root: Path) -> None:
    run_prune(_open(root), LocalStore(root / "vault"), lambda _: Policy(), clock=SystemClock(), dry_run=True)


def _check(root: Path) -> None:
    report = check_vault(_open(root), read=False)
    assert not report.damage, report.damage[:3]


STEPS: dict[str, Callable[[Path], None]] = {
    "open, empty cache": _cold,
    "open, warm cache": _warm,
    f"{LOOKED_UP:,} known and {LOOKED_UP:,} unknown ids": _lookup,
    "a backup begins": _start,
    "prune --dry-run": _prune,
    "check": _check,
}


def _peak() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def _step(root: Path, name: str) -> None:
    began, cpu = time.monotonic(), time.process_time()
    STEPS[name](root)
    print(json.dumps([time.monotonic() - began, time.process_time() - cpu, _peak()]))


def _measure(root: Path, name: str) -> str:
    command = [sys.executable, "-m", "bench.synthetic", "--step", str(root), name]
    wall, cpu, peak = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return f"| {name} | {wall:.2f} | {cpu:.2f} | {peak:.0f} |"


def main(arguments: list[str]) -> int:
    """Build and measure vaults of so many blobs, one after the other."""
    if arguments[:1] == ["--step"]:
        _step(Path(arguments[1]), arguments[2])
        return 0
    if arguments[:1] == ["--build"]:
        Builder(Path(arguments[1])).build(int(arguments[2]))
        return 0
    for blobs in arguments:
        with tempfile.TemporaryDirectory(prefix="restante-synthetic-") as temporary:
            root = Path(temporary)
            subprocess.run([sys.executable, "-m", "bench.synthetic", "--build", temporary, blobs], check=True)
            print(f"\n{int(blobs):,} blobs; seconds, seconds of processor, MiB at the peak\n", flush=True)
            print("| step | wall | CPU | peak |\n|---|---|---|---|", flush=True)
            for name in STEPS:
                print(_measure(root, name), flush=True)
            print(f"\nMiB on disk: cache {_mebibytes(root / 'cache')}, index {_mebibytes(root / 'vault/index')}")
    return 0


def _mebibytes(folder: Path) -> int:
    return round(sum(file.stat().st_size for file in folder.iterdir()) / 2**20)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
