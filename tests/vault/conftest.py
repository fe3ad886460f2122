"""A new vault in memory, and what opens it."""

from __future__ import annotations

import pytest

from tests.faults import MemoryStore
from tests.secret import new_secret
from vault.keyring import init_vault
from vault.slots import Passphrase


@pytest.fixture
def secret() -> Passphrase:
    return Passphrase(new_secret())


@pytest.fixture
def store(secret: Passphrase) -> MemoryStore:
    made = MemoryStore()
    init_vault(made, secret.text)
    return made
