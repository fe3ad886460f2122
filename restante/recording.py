"""Run records of what writes none itself: checks, prunes, copies, and whatever an error ended."""

from __future__ import annotations

from datetime import datetime

from restante.logs import why
from restante.wiring import Wiring
from vault.records import CheckResult, RunRecord, rfc3339, write_run
from vault.version import TOOL


def record_run(
    wiring: Wiring,
    kind: str,
    started: datetime,
    finished: datetime,
    status: str,
    *,
    job: str = "",
    check: CheckResult | None = None,
    error: Exception | None = None,
) -> None:
    """Write into the vault how a run went, and what error ended it. Raises VaultError."""
    told = why(error) if error is not None else {}
    record = RunRecord(
        started=rfc3339(started), finished=rfc3339(finished), accounts=(), tool=TOOL, job=job,
        kind=kind, status=status, check=check, error=told.get("error", ""), hint=told.get("hint", ""),
    )  # fmt: skip
    write_run(wiring.store, wiring.vault.ring, record)
