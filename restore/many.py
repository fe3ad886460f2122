"""Many accounts restored at once: one that fails is in its report, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from imap.errors import ImapError
from restore.model import RestoreFailure, RestoreReport
from vault.errors import Trouble
from vault.model import Snapshot


class RestoreJob(NamedTuple):
    """One account's restore: what it restores, the URL it goes to, and what does it."""

    snapshot: Snapshot
    url: str
    work: Callable[[], RestoreReport]


def restore_many(jobs: Sequence[RestoreJob], at_once: int) -> list[RestoreReport]:
    """Carry out restores, so many at once; return a report for each, in order."""

    def guarded(job: RestoreJob) -> RestoreReport:
        try:
            return job.work()
        except (Trouble, ImapError) as error:
            failure = RestoreFailure("", None, error.message)
            return RestoreReport("failed", job.snapshot.account, job.snapshot.id, job.url, 0, 0, 0, 0, (), (failure,))

    with ThreadPoolExecutor(at_once, thread_name_prefix="account") as pool:
        return list(pool.map(guarded, jobs))
