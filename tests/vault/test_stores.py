"""One contract, kept by every store; and what a directory must do besides."""

from __future__ import annotations

import os
import resource
import secrets
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing import Pipe
from pathlib import Path

import pytest

from tests.corpus import octets
from tests.faults import FaultyStore, MemoryStore
from tests.servers import MiniStack, RcloneS3
from vault.errors import ObjectCutShort, ObjectMissing, StoreError
from vault.ids import ObjectName
from vault.stores import open_store
from vault.stores.base import FullStore
from vault.stores.lent import LentStore, lend
from vault.stores.local import LocalStore

A, B = ObjectName("packs/ab/abcd"), ObjectName("meta/abcd")


class LentMemory(MemoryStore):
    """A store in memory that is read as a process reads that helps, through pipes."""

    def __init__(self) -> None:
        super().__init__()
        ends = [Pipe() for _ in range(2)]
        for _, end in ends:
            threading.Thread(target=lend, args=(super(), end), daemon=True).start()
        lent = LentStore(self.url, [pipe for pipe, _ in ends])
        self.get, self.list, self.stat = lent.get, lent.list, lent.stat  # type: ignore[method-assign]


@pytest.fixture(params=["directory", "s3", "s3 without prefix", "first versions", "memory", "faultless", "lent"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FullStore:
    match request.param:
        case "memory":
            return MemoryStore()
        case "faultless":
            return FaultyStore(MemoryStore())
        case "lent":
            return LentMemory()
        case "directory":
            return open_store(f"file://{tmp_path}/vault")
        case "first versions":
            server: MiniStack = request.getfixturevalue("locking")
            return open_store(f"{server.new_bucket(f'b{secrets.token_hex(6)}')}&lock=governance&patience=5")
    s3: RcloneS3 = request.getfixturevalue("s3")
    place = f"b{secrets.token_hex(6)}"
    url = s3.vault_url(place if "without" in request.param else f"{place}/some/prefix")
    return open_store(f"{url}&patience=5")


def test_what_was_put_comes_back_whole(store: FullStore) -> None:
    for size in (0, 1, 70_000, 9_000_000):
        name = ObjectName(f"packs/{size}")
        store.put(name, octets(size))
        assert store.get(name) == octets(size)
        assert store.stat(name).size == size


def test_a_range_is_exactly_the_octets_asked_for(store: FullStore) -> None:
    data = octets(10_000)
    store.put(A, data)
    for start, length in ((0, 1), (0, 10_000), (9_999, 1), (4_000, 3_000), (0, 0), (5_000, 0), (10_000, 0)):
        assert store.get(A, start=start, length=length) == data[start : start + length]
    assert store.get(A, start=9_000) == data[9_000:]


@pytest.mark.parametrize("start, length", [(0, 10_001), (9_999, 2), (10_000, 1), (20_000, 1), (10_001, None)])
def test_a_range_past_the_end_is_refused_not_cut(store: FullStore, start: int, length: int | None) -> None:
    store.put(A, octets(10_000))
    with pytest.raises(ObjectCutShort):
        store.get(A, start=start, length=length)


@pytest.mark.parametrize("name", [A, "packs/ab", "packs", "packs/ab/abcd/more"])
def test_what_is_not_there_is_missing(store: FullStore, name: str) -> None:
    if name != A:
        store.put(A, b"x")
    missing = ObjectName(name)
    for ask in (
        lambda: store.get(missing),
        lambda: store.get(missing, start=1, length=1),
        lambda: store.get(missing, length=0),
        lambda: store.stat(missing),
    ):
        with pytest.raises(ObjectMissing):
            ask()


def test_a_listing_is_complete_in_order_and_tells_sizes(store: FullStore) -> None:
    names = sorted(
        [A, B, "packs/ab/abce", "packs/ac/0", "index/2-a", "index/10-b", "vault.json", "vault-2.json", "k/a.b"]
    )
    for size, name in enumerate(names):
        store.put(ObjectName(name), octets(size))
    assert [(info.name, info.size) for info in store.list()] == [(name, size) for size, name in enumerate(names)]
    for prefix in ("packs/", "packs/ab/", "packs/a", "vault", "vault-", "index/1", "vault.json", "nothing", "nothing/"):
        assert [info.name for info in store.list(prefix)] == [name for name in names if name.startswith(prefix)]


def test_a_listing_of_nothing_is_empty(store: FullStore) -> None:
    assert list(store.list()) == []


@pytest.mark.slow
def test_a_listing_of_many_objects_is_complete(store: FullStore) -> None:
    names = [ObjectName(f"runs/{n:05}") for n in range(1_200)]
    for name in names:
        store.put(name, b"")
    assert [info.name for info in store.list("runs/")] == names


def test_the_time_of_an_object_is_about_now(store: FullStore) -> None:
    store.put(A, b"x")
    modified = store.stat(A).modified
    assert modified.tzinfo is not None
    assert abs(modified - datetime.now(UTC)) < timedelta(hours=1)
    assert [info.modified.replace(microsecond=0) for info in store.list()] == [modified.replace(microsecond=0)]


def test_the_same_octets_may_be_put_again(store: FullStore) -> None:
    store.put(A, b"same")
    store.put(A, b"same")
    assert store.get(A) == b"same"
    assert len(list(store.list())) == 1


def test_what_is_deleted_is_gone_and_may_be_deleted_again(store: FullStore) -> None:
    store.put(A, b"x")
    store.put(B, b"y")
    store.delete(A)
    store.delete(A)
    assert [info.name for info in store.list()] == [B]
    with pytest.raises(ObjectMissing):
        store.get(A)
    store.put(A, b"z")
    assert store.get(A) == b"z"


@pytest.mark.parametrize(
    "name", ["", "/", "a//b", "../a", "a/../b", "a/", "/a", ".tmp-1", "a b", "a\nb", "ä", "a\\b", "."]
)
def test_a_name_that_might_lead_elsewhere_is_refused(store: FullStore, name: str) -> None:
    bad = ObjectName(name)
    calls: list[Callable[[], object]] = [
        lambda: store.put(bad, b""),
        lambda: store.get(bad),
        lambda: store.stat(bad),
        lambda: store.delete(bad),
    ]
    for call in calls:
        with pytest.raises(StoreError):
            call()


def test_many_threads_may_use_a_store_at_once(store: FullStore) -> None:
    failures: list[BaseException] = []

    def work(n: int) -> None:
        try:
            for i in range(5):
                store.put(A, b"all the same")
                name = ObjectName(f"packs/{n}/{i}")
                store.put(name, octets(1_000, n))
                assert store.get(name) == octets(1_000, n)
        except BaseException as error:  # noqa: BLE001 asserted to be none
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(list(store.list())) == 41


def test_errors_name_the_object_and_the_store(store: FullStore) -> None:
    with pytest.raises(ObjectMissing) as caught:
        store.get(A)
    assert A in caught.value.message
    assert store.url.rstrip("/") in caught.value.message


# A directory.


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "vault")


def test_what_a_dead_writer_left_half_done_is_not_listed(local: LocalStore, tmp_path: Path) -> None:
    local.put(A, b"x")
    (tmp_path / "vault/packs/ab/.tmp-0123").write_bytes(b"half")
    assert [info.name for info in local.list()] == [A]


def test_what_others_leave_in_a_vaults_folder_is_passed_over(local: LocalStore, tmp_path: Path) -> None:
    local.put(A, b"x")
    for name in (".DS_Store", "packs/Thumbs db", "snapshots~"):
        (tmp_path / "vault" / name).write_bytes(b"?")
    assert [info.name for info in local.list()] == [A]


def test_a_folder_moved_elsewhere_and_linked_is_listed(local: LocalStore, tmp_path: Path) -> None:
    local.put(A, b"x")
    (tmp_path / "vault/packs").rename(tmp_path / "bigger disk")
    (tmp_path / "vault/packs").symlink_to(tmp_path / "bigger disk")
    assert [info.name for info in local.list("packs/")] == [A]
    assert local.get(A) == b"x"


def test_an_object_is_never_changed(local: LocalStore) -> None:
    local.put(A, b"x")
    with pytest.raises(StoreError, match="another"):
        local.put(A, b"y")
    assert local.get(A) == b"x"


def test_objects_are_readable_by_their_owner_alone(local: LocalStore, tmp_path: Path) -> None:
    local.put(A, b"x")
    for path in (tmp_path / "vault").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
    assert (tmp_path / "vault").stat().st_mode & 0o077 == 0


@pytest.fixture
def little_room() -> Iterator[None]:
    """Let no file grow beyond 1,000 octets."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("little_room")
def test_a_write_that_fails_half_way_leaves_nothing(local: LocalStore, tmp_path: Path) -> None:
    local.put(B, b"x")
    with pytest.raises(StoreError, match="can't write"):
        local.put(A, octets(5_000))
    assert [path.name for path in (tmp_path / "vault").rglob("*") if path.is_file()] == [B.rpartition("/")[2]]


def test_a_file_where_a_folder_should_be_is_told(local: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "vault").write_text("a file")
    with pytest.raises(StoreError, match="in the way"):
        local.put(A, b"x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_told(local: LocalStore, tmp_path: Path) -> None:
    local.put(A, b"x")
    (tmp_path / "vault/packs").chmod(0o500)
    with pytest.raises(StoreError, match="permission denied"):
        local.put(ObjectName("packs/cd/cdef"), b"x")
    (tmp_path / "vault/packs").chmod(0)
    with pytest.raises(StoreError, match="can't list"):
        list(local.list())


# URLs.


@pytest.mark.parametrize(
    "url",
    [
        "", "vault", "/srv/vault", "file://host/dir", "file:dir", "file:///dir?x=1", "s3://", "s3:///prefix", "http://a/b",
        "s3://b?nonsense=1", "s3://b?lock=sometimes", "s3://b?patience=long", "s3://[b", "s3://b?region",
    ],
)  # fmt: skip
def test_a_url_that_names_no_store_is_refused_with_a_hint(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert caught.value.hint


def test_a_url_with_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(StoreError) as caught:
        open_store("s3://someone:hunter2@bucket/prefix")
    assert "hunter2" not in str(caught.value)
