"""How many accounts are read at once: in all, of one server, and across the jobs of one process."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack

from hypothesis import given
from hypothesis import strategies as st

from backup.turns import Turns

RUNNING = threading.Event()
STOPPED = threading.Event()
STOPPED.set()


def server(account: str) -> str:
    return account.partition("@")[2]


def taken(turns: Turns, waiting: list[str], stop: threading.Event = RUNNING) -> AbstractContextManager[str | None]:
    return turns.take(waiting, server, stop)


def test_an_account_whose_server_is_busy_is_passed_over_and_comes_next() -> None:
    turns, waiting = Turns(3, per_server=1), ["anna@a", "bert@a", "cora@b"]
    with ExitStack() as stack:
        assert stack.enter_context(taken(turns, waiting)) == "anna@a"
        assert stack.enter_context(taken(turns, waiting)) == "cora@b"
    with taken(turns, waiting) as item:
        assert item == "bert@a"
    with taken(turns, waiting) as item:
        assert item is None


def test_who_waits_for_a_turn_is_let_go_when_told_to_stop() -> None:
    turns, stop = Turns(1), threading.Event()
    with ThreadPoolExecutor(1) as pool, taken(turns, ["anna@a"]):

        def other() -> str | None:
            with taken(turns, ["bert@a"], stop) as item:
                return item

        waiting = pool.submit(other)
        stop.set()
        assert waiting.result(10) is None


def test_nothing_is_taken_once_told_to_stop() -> None:
    waiting = ["anna@a"]
    with taken(Turns(1), waiting, STOPPED) as item:
        assert item is None
    assert waiting == ["anna@a"]


@given(
    jobs=st.lists(st.lists(st.sampled_from("abc"), max_size=8), min_size=1, max_size=3),
    in_all=st.integers(1, 4),
    per_server=st.integers(1, 4),
)
def test_two_jobs_together_never_pass_the_bounds_and_every_account_has_its_turn(
    jobs: list[list[str]], in_all: int, per_server: int
) -> None:
    turns, lock = Turns(in_all, per_server), threading.Lock()
    now: list[str] = []
    seen: list[str] = []

    def work(waiting: list[str]) -> None:
        while True:
            with taken(turns, waiting) as item:
                if item is None:
                    return
                with lock:
                    now.append(server(item))
                    assert len(now) <= in_all
                    assert now.count(server(item)) <= per_server
                    seen.append(item)
                time.sleep(0.001)
                with lock:
                    now.remove(server(item))

    accounts = [[f"{job}-{n}@{name}" for n, name in enumerate(names)] for job, names in enumerate(jobs)]
    with ThreadPoolExecutor(6) as pool:
        lists = [list(names) for names in accounts]
        for future in [pool.submit(work, waiting) for waiting in lists for _ in range(2)]:
            future.result()
    assert sorted(seen) == sorted(name for names in accounts for name in names)
