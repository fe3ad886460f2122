"""The shelf of recent octets: loaded once however many ask, and let go without harm to whoever still waits."""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from vault.shelf import Shelf


@pytest.fixture
def hurried() -> Iterator[None]:
    """Let threads take turns all the time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_who_comes_while_octets_are_loaded_waits_for_them_or_for_what_kept_them_away() -> None:
    shelf = Shelf[bytes](100)
    began, go = threading.Event(), threading.Event()
    loads: Counter[str] = Counter()

    def load(key: str) -> bytes:
        loads[key] += 1
        began.set()
        assert go.wait(20)
        if key == "lost":
            raise OSError(key)
        return key.encode()

    for key in ("kept", "lost"):
        began.clear()
        go.clear()
        with ThreadPoolExecutor(4) as pool:
            first = pool.submit(shelf.get, key, partial(load, key))
            assert began.wait(20)
            others = [pool.submit(shelf.get, key, partial(load, key)) for _ in range(3)]
            go.set()
            found = [one.exception() or one.result() for one in (first, *others)]
        assert all(isinstance(one, OSError if key == "lost" else bytes) for one in found)
    assert loads["kept"] == 1
    assert shelf.get("lost", lambda: b"there now") == b"there now"
    assert shelf.get("kept", lambda: b"loaded again") == b"kept"


@pytest.mark.usefixtures("hurried")
def test_threads_that_ask_for_more_than_fits_get_what_they_asked_for() -> None:
    shelf = Shelf[bytes](60)

    def ask(seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(3_000):
            size = draw.randrange(1, 30)
            whole = size if size % 3 == 0 else 0  # some are not kept afterwards
            assert shelf.get(size, partial(bytes, size), longer_than=whole) == bytes(size)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
