"""Which names an object may have."""

from __future__ import annotations

import re

from vault.errors import StoreError
from vault.ids import ObjectName

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*", re.ASCII)


def is_name(text: str) -> bool:
    """Say whether an object of a vault may bear this name; a listing passes over anything else that lies about."""
    return _NAME.fullmatch(text) is not None


def check_name(name: ObjectName) -> ObjectName:
    """Return a name that is safe as a path below a root; raises StoreError for any other."""
    if not is_name(name):
        raise StoreError(f"{name!r} is no name for an object", hint="the vault was altered; run `restante check`")
    return name
