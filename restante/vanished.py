"""Accounts that are gone from the configuration, or from what lists a server's users: told once, kept for good."""

from __future__ import annotations

from collections.abc import Iterable

from vault.vault import Vault


def vanished(vault: Vault, job: str, accounts: Iterable[str]) -> list[str]:
    """Return the accounts that the last run of a job looked at and the next one, of these accounts, will not.

    That run's record remembers them, and the next one's won't: so each is returned once. Raises StoreError.
    """
    now = {vault.ring.account_id(name) for name in accounts}
    runs = (run for run in vault.runs() if run.job == job and run.accounts and run.status != "interrupted")
    last = next(runs, None)
    gone = [confirmed.account for confirmed in last.accounts if confirmed.account not in now] if last else []
    found = (vault.newest(account) for account in gone)
    return sorted(standing.snapshot.account for standing in filter(None, found))
