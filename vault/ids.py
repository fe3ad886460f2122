"""A type of its own for each kind of name, so that one can't pass for another."""

from __future__ import annotations

import re
from typing import NewType

BlobId = NewType("BlobId", bytes)
"""16 octets: keyed BLAKE3 of a blob's plain content."""

PackId = NewType("PackId", bytes)
"""32 octets: SHA-256 of a pack's stored bytes."""

SessionId = NewType("SessionId", bytes)
"""16 random octets naming one run's session key."""

AccountId = NewType("AccountId", str)
"""32 hex digits: keyed hash of an account's name."""

SnapshotId = NewType("SnapshotId", str)
"""`<time>-<rand>`, e.g. `20261123T105144Z-1a2b3c4d`; unique within a vault."""

SNAPSHOT_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]+")
"""What looks like one."""

ObjectName = NewType("ObjectName", str)
"""A `/`-separated name in a store, e.g. `packs/ab/abcd…`."""
