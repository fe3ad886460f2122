"""Whether octets are what was written under a name, told without opening mail: what a second site takes, and a repair.

Packs and meta objects are named after their SHA-256; everything else is authenticated by the meta key.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from vault.errors import Damage
from vault.ids import ObjectName
from vault.keyring import is_believed, is_vault_file, read_slot, read_vault_file
from vault.keys import KeyRing
from vault.records import is_stamped, open_snapshot
from vault.seal import Kind, open_object

SEALED: dict[str, Kind] = {"index": "I", "runs": "R", "tombstones": "T", "holds": "H"}
_HASHED = re.compile(r"(?:packs/([0-9a-f]{2})/(?=\1)|meta/)[0-9a-f]{64}")
_RECORD = re.compile(r"(?:index|runs|tombstones|holds|snapshots/[0-9a-f]+)/[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
_SLOT = re.compile(r"keys/[a-z0-9][a-z0-9-]{0,63}\.json")


def is_ours(name: ObjectName) -> bool:
    """Say whether version 1 gives an object such a name; whatever else lies about is left alone."""
    if _RECORD.fullmatch(name):
        return is_stamped(name.rpartition("/")[2])
    return is_vault_file(name) or any(pattern.fullmatch(name) for pattern in (_HASHED, _SLOT))


def prove(ring: KeyRing, name: ObjectName, data: bytes) -> None:
    """Raise Damage unless these octets are what was written under this name in this vault."""
    folder = name.partition("/")[0]
    if folder in ("packs", "meta"):
        if hashlib.sha256(data).hexdigest() != name.rpartition("/")[2]:
            raise Damage(f"{name} does not have the SHA-256 that its name says", object_name=name)
    elif folder == "snapshots":
        open_snapshot(ring, name, data)
    elif folder in SEALED:
        open_object(ring.meta_key, ring.vault_id, SEALED[folder], name, data)
    elif not (_sound_slot(ring, name, data) if folder == "keys" else _sound_vault_file(ring, data)):
        raise Damage(f"{name} is not what the holder of the keys wrote", object_name=name)


def _sound_slot(ring: KeyRing, name: ObjectName, data: bytes) -> bool:
    slot = read_slot(name, data)
    return slot is not None and hmac.compare_digest(ring.authenticate(slot.check_text()).encode(), slot.mac.encode())


def _sound_vault_file(ring: KeyRing, data: bytes) -> bool:
    words = read_vault_file(data)
    return words is not None and words.vault == ring.vault_id.hex() and is_believed(ring, words)
