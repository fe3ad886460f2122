"""Stores: a local directory and S3, behind one contract."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from vault.clock import Clock
from vault.errors import StoreError
from vault.stores.base import FullStore, LockStore
from vault.stores.credentials import Credentials
from vault.stores.local import LocalStore
from vault.stores.locked import LockedStore, ObjectLock

_QUERY = {"endpoint_url", "region", "storage_class", "lock", "patience"}


def open_store(url: str, credentials: Credentials | None = None) -> FullStore:
    """Return the store that a URL names: `file:///dir` or `s3://bucket/prefix?endpoint_url=…`. Connects to nothing yet.

    Without credentials, those of the environment count. Raises StoreError on nonsense.
    """
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise StoreError(f"{url} is no URL", hint=_HINT) from None
    if parts.username or parts.password:
        hint = "give S3 credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role"
        raise StoreError("a vault's URL must hold no user or password", hint=hint)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/") and not query:
        return LocalStore(Path(os.path.normpath(unquote(parts.path))))
    if parts.scheme == "s3" and parts.netloc and not set(query) - _QUERY:
        return _open_s3(parts.netloc, unquote(parts.path).strip("/"), query, credentials)
    raise StoreError(f"{url} names no store", hint=_HINT)


def open_locked_store(url: str, lock: ObjectLock, clock: Clock, credentials: Credentials | None = None) -> LockedStore:
    """Return the same for a bucket with Object Lock, where everything written is locked. Connects to nothing yet.

    Raises StoreError on nonsense, and on a directory, which keeps no locks.
    """
    parts = urlsplit(url)
    if parts.scheme != "s3":
        hint = "use a bucket with Object Lock, or take object_lock out of the configuration"
        raise StoreError(f"{url} is no bucket, so it can't keep objects from deletion", hint=hint)
    query = dict(parse_qsl(parts.query)) | {"lock": lock.mode}
    open_store(url)  # whatever is wrong with the URL is told there
    return LockedStore(_open_s3(parts.netloc, unquote(parts.path).strip("/"), query, credentials), lock, clock)


def _open_s3(bucket: str, prefix: str, query: dict[str, str], credentials: Credentials | None = None) -> LockStore:
    # boto3 takes a third of a second to import, which a vault in a directory need not pay.
    from vault.stores.s3 import PATIENCE_SECONDS, S3Place, S3Store

    lock = query.get("lock", "").upper()
    if lock not in ("", "GOVERNANCE", "COMPLIANCE"):
        raise StoreError(f"lock={query['lock']} is no mode of Object Lock", hint="use governance or compliance")
    try:
        patience = float(query.get("patience", PATIENCE_SECONDS))
    except ValueError:
        raise StoreError("patience= is no number of seconds", hint=_HINT) from None
    return S3Store(
        S3Place(
            bucket,
            prefix,
            query.get("endpoint_url"),
            query.get("region"),
            query.get("storage_class"),
            "GOVERNANCE" if lock == "GOVERNANCE" else "COMPLIANCE" if lock else None,
            patience,
        ),
        credentials,
    )


_HINT = "use file:///dir or s3://bucket/prefix?endpoint_url=https://…&region=…"
