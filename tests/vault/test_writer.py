"""What the writer promises: no nonce twice, nothing unverified sent, nothing named that is not there."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.corpus import MESSAGES, base64_lines, mail_with, octets, plain_mail
from tests.faults import MemoryStore
from vault import filler, pack, packer, seal
from vault.clock import SystemClock
from vault.errors import Damage, Overtaken, StoreUnavailable
from vault.ids import BlobId, ObjectName
from vault.keyring import init_vault
from vault.packer import PackLimits
from vault.slots import Passphrase
from vault.tombstones import GRACE
from vault.vault import Vault, open_vault
from vault.waiting import Share, Stretch
from vault.writer import SnapshotDraft, VaultWriter

TINY = PackLimits(pack=30_000, block=2_000, alone=1_500, message_alone=1_500, in_flight=10_000)


@pytest.fixture
def vault(store: MemoryStore, secret: Passphrase) -> Vault:
    return open_vault(store, secret)


def test_every_mail_comes_back_whatever_borders_it_crosses(
    store: MemoryStore, vault: Vault, secret: Passphrase
) -> None:
    mails = [*MESSAGES.values(), b"", *(plain_mail(n) for n in range(300))]
    one = VaultWriter(vault, store, clock=SystemClock(), limits=TINY)
    with ThreadPoolExecutor(4) as pool:
        blobs = list(pool.map(lambda mail: one.add_message(mail, Stretch()).blob, mails))
    one.flush()
    one.close()
    again = open_vault(store, secret)
    assert [again.read_message(blob) for blob in blobs] == mails
    assert [octets for _, octets in again.read_messages((blob, 100) for blob in blobs)] == mails
    assert again.catalogue(blobs).keys() == set(blobs)
    assert sum(name.startswith("packs/") for name in store.objects) >= 5


def test_equal_mail_and_equal_attachments_are_stored_once(store: MemoryStore, vault: Vault) -> None:
    attachment = base64_lines(octets(200_000))
    one = VaultWriter(vault, store, clock=SystemClock())
    added = [one.add_message(mail_with(attachment, number=n % 3), Stretch()) for n in range(9)]
    one.flush()
    one.close()
    assert [a.known for a in added] == [False] * 3 + [True] * 6
    assert sum(map(len, store.objects.values())) < 220_000


def test_no_key_is_used_with_a_nonce_twice(store: MemoryStore, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[tuple[bytes, int]] = []
    lock = threading.Lock()

    def recording(key: bytes, counter: int, plain: bytes, aad: bytes) -> bytes:
        with lock:
            used.append((key, counter))
        return AESGCM(key).encrypt(counter.to_bytes(12, "big"), plain, aad)

    monkeypatch.setattr(seal, "encrypt", recording)
    monkeypatch.setattr(pack, "encrypt", recording)
    for run in range(3):
        one = VaultWriter(vault, store, clock=SystemClock(), limits=TINY)
        for n in range(60):
            one.add_message(plain_mail(100 * run + n), Stretch())
            one.add_meta(octets(300, 1000 * run + n))
            if n % 20 == 0:
                one.flush()
        one.flush()
        one.write_run(SystemClock().now(), [("anna", None, "complete")])
        one.close()
    assert len(used) > 60
    assert len(set(used)) == len(used)


@pytest.mark.parametrize("module", [packer, filler])
def test_a_block_that_was_built_wrong_is_never_sent(
    store: MemoryStore, vault: Vault, monkeypatch: pytest.MonkeyPatch, module: object
) -> None:
    def faulty(plain: bytes, level: int) -> bytes:
        at = len(plain) // 2
        return seal.compress(plain[:at] + bytes((plain[at] ^ 1,)) + plain[at + 1 :], level)

    monkeypatch.setattr(pack, "compress", faulty)
    before = set(store.objects)
    one = VaultWriter(vault, store, clock=SystemClock())
    if module is packer:
        one.add_message(plain_mail(1), Stretch())
    else:
        one.add_meta(b"page " * 100)
    with pytest.raises(Damage, match="just built"):
        one.flush()
    one.close()
    assert set(store.objects) == before


class FailingStore(MemoryStore):
    """Refuses packs from the second on."""

    packs = 0

    def put(self, name: ObjectName, data: bytes, **options: object) -> None:
        if name.startswith("packs/"):
            self.packs += 1
            if self.packs > 1:
                raise StoreUnavailable("no more packs")
        super().put(name, data)


def test_an_upload_that_fails_is_fatal_and_nothing_names_what_is_not_there(secret: Passphrase) -> None:
    store = FailingStore()
    init_vault(store, secret.text)
    one = VaultWriter(open_vault(store, secret), store, clock=SystemClock(), limits=TINY)
    mails = (mail_with(base64_lines(octets(5_000, n))) for n in range(500))
    with pytest.raises(StoreUnavailable):
        deque((one.add_message(mail, Stretch()) for mail in mails), maxlen=0)
    with pytest.raises(StoreUnavailable):
        one.flush()
    with pytest.raises(StoreUnavailable):
        one.add_message(plain_mail(9_999), Stretch())
    one.close()
    assert not [name for name in store.objects if name.startswith(("index/", "snapshots/"))]


class HiccupStore(MemoryStore):
    """Refuses one object of a kind, and is well again."""

    def __init__(self, objects: dict[ObjectName, bytes], kind: str) -> None:
        super().__init__(objects)
        self.kind: str | None = kind

    def put(self, name: ObjectName, data: bytes, **options: object) -> None:
        if self.kind and name.startswith(self.kind):
            self.kind = None
            raise StoreUnavailable("the store hiccups")
        super().put(name, data)


@pytest.mark.parametrize("kind", ["packs/", "meta/", "index/"])
def test_after_a_flush_that_failed_nothing_is_published_though_the_store_is_well_again(
    store: MemoryStore, secret: Passphrase, kind: str
) -> None:
    hiccup = HiccupStore(store.objects, kind)
    one = VaultWriter(open_vault(hiccup, secret), hiccup, clock=SystemClock())
    one.add_message(plain_mail(1), Stretch())
    one.add_meta(b"{}")
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="hiccups"):
            one.flush()
    one.close()
    assert not [name for name in hiccup.objects if name.startswith("index/")]


def test_a_message_that_could_not_be_added_lets_nobody_rely_on_it(
    store: MemoryStore, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    one = VaultWriter(vault, store, clock=SystemClock())
    with monkeypatch.context() as short_of_memory:
        short_of_memory.setattr(filler, "describe", exhausted)
        with pytest.raises(MemoryError):
            one.add_message(plain_mail(1), Stretch())
    assert one.add_message(plain_mail(1), Stretch()).known
    with pytest.raises(MemoryError):
        one.flush()
    one.close()


def test_each_snapshot_names_the_one_before(store: MemoryStore, vault: Vault, secret: Passphrase) -> None:
    one = VaultWriter(vault, store, clock=SystemClock())
    tree = one.add_meta(b"{}")
    one.flush()
    made = [one.write_snapshot(SnapshotDraft("anna", "complete", tree, 0, n, 0)) for n in range(3)]
    one.close()
    assert [s.sequence for s in made] == [1, 2, 3]
    assert made[0].previous == ""
    assert len({s.previous for s in made}) == 3
    assert [s.messages for s in open_vault(store, secret).snapshots("anna")] == [0, 1, 2]


def drafts(one: VaultWriter, *accounts: str) -> list[SnapshotDraft]:
    """Snapshots of accounts that hold nothing."""
    tree = one.add_meta(b"{}")
    one.flush()
    return [SnapshotDraft(account, "complete", tree, 0, 0, 0) for account in accounts]


class MeetingStore(MemoryStore):
    """Takes a snapshot only while another one is being written."""

    def __init__(self, objects: dict[ObjectName, bytes]) -> None:
        super().__init__(objects)
        self.meeting = threading.Barrier(2)

    def put(self, name: ObjectName, data: bytes, **options: object) -> None:
        if name.startswith("snapshots/"):
            self.meeting.wait(10)
        super().put(name, data)


def test_snapshots_of_several_accounts_are_written_side_by_side(store: MemoryStore, secret: Passphrase) -> None:
    meeting = MeetingStore(store.objects)
    one = VaultWriter(open_vault(meeting, secret), meeting, clock=SystemClock())
    made = one.write_snapshots(drafts(one, "anna", "bert"))
    one.close()
    assert [s.account for s in made] == ["anna", "bert"]
    assert {s.id for s in open_vault(meeting, secret).snapshots()} == {s.id for s in made}


def test_snapshots_of_one_account_stay_in_a_chain_even_if_they_come_at_once(
    store: MemoryStore, vault: Vault, secret: Passphrase
) -> None:
    one = VaultWriter(vault, store, clock=SystemClock())
    one.write_snapshots(drafts(one, "anna", "anna", "anna"))
    one.close()
    assert [s.sequence for s in open_vault(store, secret).snapshots("anna")] == [1, 2, 3]


class DawdlingStore(MemoryStore):
    """Where the first snapshot comes long after the others, and a prune has condemned something meanwhile."""

    def put(self, name: ObjectName, data: bytes, **options: object) -> None:
        super().put(name, data)
        if name.startswith("snapshots/"):
            tombstone = ObjectName("tombstones/20261124T000000Z-00000000")
            first = tombstone not in self.objects
            super().put(tombstone, b"not read by a writer that only looks")
            self._times[name] = self._times[tombstone] + (GRACE if first else timedelta())


def test_the_last_of_many_snapshots_tells_whether_the_run_dawdled(store: MemoryStore, secret: Passphrase) -> None:
    dawdling = DawdlingStore(store.objects)
    one = VaultWriter(open_vault(dawdling, secret), dawdling, clock=SystemClock())
    with pytest.raises(Overtaken):
        one.write_snapshots(drafts(one, "anna", "bert", "carl"))
    one.close()


def test_the_stored_octets_of_an_account_add_up(store: MemoryStore, vault: Vault) -> None:
    shares = [Share(), Share()]
    stretches = [Stretch(share) for share in shares]
    one = VaultWriter(vault, store, clock=SystemClock())
    for n in range(200):
        one.add_message(mail_with(base64_lines(octets(3_000, n)), number=n), stretches[n % 2])
    one.flush()
    one.close()
    packs = sum(len(data) for name, data in store.objects.items() if name.startswith("packs/"))
    assert 0.9 * packs < shares[0].octets + shares[1].octets <= packs
    assert 0.8 < shares[0].octets / shares[1].octets < 1.25


def test_a_pack_of_short_mails_ends_before_its_catalogue_fills_the_memory(
    store: MemoryStore, vault: Vault, secret: Passphrase
) -> None:
    mails = [plain_mail(n) for n in range(400)]
    one = VaultWriter(vault, store, clock=SystemClock(), limits=PackLimits(block=2_000, catalogue=20_000))
    blobs = [one.add_message(mail, Stretch()).blob for mail in mails]
    one.flush()
    one.close()
    packs = [name for name in store.objects if name.startswith("packs/")]
    assert 3 < len(packs) < 20
    assert open_vault(store, secret).catalogue(blobs).keys() == set(blobs)


def test_a_mailbox_lies_in_as_few_blocks_as_may_be_and_attachments_in_others(store: MemoryStore, vault: Vault) -> None:
    accounts = [Share(), Share()]
    mailboxes = [Stretch(account) for account in accounts for _ in range(3)]
    one = VaultWriter(vault, store, clock=SystemClock(), limits=PackLimits(block=20_000))
    mails: dict[Stretch, list[BlobId]] = {mailbox: [] for mailbox in mailboxes}
    for n in range(50):
        for number, mailbox in enumerate(mailboxes):  # as they come over several connections
            mail = mail_with(base64_lines(octets(1_500, n // 3)), number=10 * n + number)
            mails[mailbox].append(one.add_message(mail + plain_mail(10 * n + number), mailbox).blob)
    one.flush()
    one.close()
    sizes = [sum(vault.index.locate(blob)[0].length for blob in blobs) for blobs in mails.values()]
    assert min(sizes) > 20_000
    for size, blobs in zip(sizes, mails.values(), strict=True):
        assert len({block_of(vault, blob) for blob in blobs}) <= size // 20_000 + 2
    pieces = {piece for blobs in mails.values() for blob in blobs for piece in vault.index.pieces(blob) or ()}
    shared = {block_of(vault, p) for p in pieces} & {block_of(vault, b) for blobs in mails.values() for b in blobs}
    assert len(pieces) == 17
    assert len(shared) <= 1, "only what is left at the end lies together"


def block_of(vault: Vault, blob: BlobId) -> tuple[ObjectName, int]:
    (place,) = vault.index.locate(blob)
    return place.object_name, place.offset
