"""A second reader of vaults, from docs/vault-format.md alone: standard library, blake3, cryptography and zstandard.

    RESTANTE_PASSPHRASE=… python tests/reader.py VAULT [OUT]

lists the snapshots and, with OUT, writes every message of each there; RESTANTE_RECOVERY_KEY opens a vault too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import sys
import time
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, NamedTuple

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
unzstd = zstandard.ZstdDecompressor().decompress


class Bad(Exception):
    """Something is not what the page says."""


class Message(NamedTuple):
    mailbox: str
    uid: int
    flags: list[str]
    internaldate: str
    octets: bytes


class Block(NamedTuple):
    object_name: str
    kind: bytes
    session: bytes
    counter: int
    offset: int
    stored: int


def insist(condition: object, what: str) -> None:
    if not condition:
        raise Bad(what)


def derive(secret: bytes, label: str, salt: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, b"restante v1 " + label.encode()).derive(secret)


def decrypt(key: bytes, counter: int, sealed: bytes, aad: bytes) -> bytes:
    with suppress(InvalidTag):
        return AESGCM(key).decrypt(counter.to_bytes(12, "big"), sealed, aad)
    raise Bad("does not decrypt")


def slot_aad(slot: dict[str, Any]) -> bytes:
    fields = ("format", "kind", "name", "created", "iterations", "lanes", "memory_kib")
    words = "\n".join(str(slot.get(field, 0)) for field in fields).encode()
    return bytes.fromhex(slot["vault"]) + words + base64.b64decode(slot["salt"])


class Columns:
    """§4, Columns."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def octets(self) -> bytes:
        size = int.from_bytes(self.data[self.at : self.at + 4], "little")
        self.at += 4 + size
        insist(self.at <= len(self.data), "a column runs past the end")
        return self.data[self.at - size : self.at]

    def numbers(self) -> list[int]:
        planes = self.octets()
        n = len(planes) // 8
        return [int.from_bytes(planes[i::n], "little", signed=True) for i in range(n)]

    def deltas(self) -> list[int]:
        return list(accumulate(self.numbers()))

    def fixed(self, width: int) -> list[bytes]:
        data = self.octets()
        return [data[i : i + width] for i in range(0, len(data), width)]

    def strings(self) -> list[bytes]:
        lengths, data = self.numbers(), self.octets()
        return [data[end - n : end] for n, end in zip(lengths, accumulate(lengths), strict=True)]


class Reader:
    """One vault in a directory, opened with a passphrase or a recovery key."""

    def __init__(self, root: Path, *, passphrase: str = "", recovery_key: str = "") -> None:
        self.root = root
        self.vault_id, secrets = self.unlock(passphrase, recovery_key)
        self.meta = base64.b64decode(secrets["meta"])
        self.private = [base64.b64decode(key) for key in secrets["content"]]
        self.id_keys = {k: derive(self.meta, f"{k} id", self.vault_id) for k in ("message", "piece", "meta")}
        self.places: dict[bytes, tuple[Block, int, int]] = {}
        self.sealed_sessions: dict[bytes, bytes] = {}
        self.blocks: dict[Block, bytes] = {}

    def get(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def names(self, kind: str) -> list[str]:
        return sorted(str(p.relative_to(self.root)) for p in (self.root / kind).rglob("*") if p.is_file())

    def unlock(self, passphrase: str, recovery_key: str) -> tuple[bytes, dict[str, Any]]:
        """§2, Slots."""
        for name in self.names("keys"):
            slot = json.loads(self.get(name))
            salt = base64.b64decode(slot["salt"])
            if slot["kind"] == "passphrase" and passphrase:
                insist(slot["memory_kib"] <= 1 << 20, "absurd work")
                work = {"iterations": slot["iterations"], "lanes": slot["lanes"], "memory_cost": slot["memory_kib"]}
                text = unicodedata.normalize("NFC", passphrase).encode()
                key = Argon2id(salt=salt, length=32, **work).derive(text)
            elif slot["kind"] == "recovery" and recovery_key:
                letters = re.sub(r"[\s-]", "", recovery_key).upper()
                raw = base64.b32decode(letters + "=" * (-len(letters) % 8))
                insist(hashlib.sha256(b"restante recovery" + raw[:32]).digest()[:2] == raw[32:], "a typing error")
                key = derive(raw[:32], "recovery slot", salt)
            else:
                continue
            with suppress(Bad):
                plain = decrypt(key, 0, base64.b64decode(slot["sealed"]), slot_aad(slot))
                return bytes.fromhex(slot["vault"]), json.loads(plain)
        raise Bad("no slot opens")

    def doubtful(self) -> list[str]:
        """§2: the vault files and slots that no holder of the meta key wrote."""
        key, found = derive(self.meta, "vault file", self.vault_id), []
        for path in [*self.root.glob("vault*.json"), *self.root.glob("keys/*")]:
            words = json.loads(path.read_bytes())
            if "sealed" in words:
                text = slot_aad(words).hex() + base64.b64decode(words["sealed"]).hex()
            else:
                words["public"] = base64.b64decode(words["content_key"]).hex()
                text = "\n".join(str(words[name]) for name in ("format", "vault", "suite", "generation", "public"))
            if hmac.new(key, text.encode(), "sha256").hexdigest() != words["mac"]:
                found.append(path.name)
        return found

    def small(self, name: str, kind: bytes) -> bytes:
        """§3."""
        data = self.get(name)
        header = data[:22]
        insist(header[:6] == b"RSTE\1" + kind, f"{name} is of another kind")
        key = derive(self.meta, kind.decode(), self.vault_id + header[6:])
        return unzstd(decrypt(key, 0, data[22:], header + self.vault_id + name.encode()))

    def load_index(self) -> None:
        for name in self.names("index"):
            columns = Columns(self.small(name, b"I"))
            self.sessions(columns)
            ids, kinds, _ = columns.fixed(32), columns.octets(), columns.numbers()
            for i, object_id in enumerate(ids):
                self.directory(columns, object_id, kinds[i : i + 1])

    def load_directories(self) -> None:
        """When every index is lost: §4, Directory."""
        for name in self.names("packs") + self.names("meta"):
            data = self.get(name)
            insist(hashlib.sha256(data).hexdigest() == name[-64:], f"{name} is not what was written")
            header, size = data[:22], int.from_bytes(data[-4:], "little")
            key = derive(self.meta, "directory", self.vault_id + header[6:])
            columns = Columns(unzstd(decrypt(key, 0, data[-4 - size : -4], header + self.vault_id)))
            self.sessions(columns)
            self.directory(columns, bytes.fromhex(name.rpartition("/")[2]), header[5:6])

    def sessions(self, columns: Columns) -> None:
        ids, _, sealed = columns.fixed(16), columns.fixed(16), columns.fixed(1168)
        self.sealed_sessions.update(zip(ids, sealed, strict=True))

    def directory(self, columns: Columns, object_id: bytes, kind: bytes) -> None:
        digits = object_id.hex()
        name = f"packs/{digits[:2]}/{digits}" if kind == b"P" else f"meta/{digits}"
        used = columns.fixed(16)
        blocks = list(zip(*(columns.numbers() for _ in range(6)), strict=True))
        blobs = iter(zip(columns.fixed(16), columns.numbers(), strict=True))
        for which, counter, offset, stored, _, count in blocks:
            block, start = Block(name, kind, used[which], counter, offset, stored), 0
            for blob, length in islice(blobs, count):
                self.places[blob] = block, start, length
                start += length

    def block(self, block: Block) -> bytes:
        """§4, Blocks."""
        if block not in self.blocks:
            sealed = self.get(block.object_name)[block.offset : block.offset + block.stored]
            aad = b"restante v1 block" + self.vault_id + block.kind + block.session + block.counter.to_bytes(8, "big")
            self.blocks[block] = unzstd(decrypt(self.block_key(block), block.counter, sealed, aad))
        return self.blocks[block]

    def block_key(self, block: Block) -> bytes:
        if block.kind == b"M":
            return derive(self.meta, "M", self.vault_id + block.session)
        info = b"restante v1 session" + self.vault_id + block.session
        for private in self.private:
            halves = MLKEM768PrivateKey.from_seed_bytes(private[:64]), X25519PrivateKey.from_private_bytes(private[64:])
            with suppress(InvalidTag):
                return SUITE.decrypt(self.sealed_sessions[block.session], MLKEM768X25519PrivateKey(*halves), info)
        raise Bad("no content key opens the session")

    def blob(self, blob: bytes, kind: str) -> bytes:
        """§5."""
        block, start, length = self.places[blob]
        stored = self.block(block)[start : start + length]
        insist(stored[:1] in (b"\0", b"\1"), "an unknown form")
        content = stored[1:] if stored[:1] == b"\0" else b"".join(self.parts(Columns(stored[1:])))
        insist(blake3(content, key=self.id_keys[kind]).digest(length=16) == blob, "a blob is not what its id says")
        return content

    def parts(self, columns: Columns) -> Iterator[bytes]:
        columns_of_parts = columns.strings(), columns.fixed(16), columns.numbers(), columns.strings()
        for inline, blob, width, eol in zip(*columns_of_parts, strict=True):
            content = inline if width < 0 else self.blob(blob, "piece")
            text = base64.b64encode(content) if width > 0 else b""
            yield b"".join(text[i : i + width] + eol for i in range(0, len(text), width)) if width > 0 else content

    def snapshots(self) -> list[dict[str, Any]]:
        found = (json.loads(self.small(name, b"S")) for name in self.names("snapshots"))
        return sorted(found, key=lambda s: (s["account"], s["sequence"]))

    def leaves(self, root: str | None) -> Iterator[Columns]:
        """§6, Tables."""
        pending = [base64.b64decode(root)] if root else []
        while pending:
            columns = Columns(self.blob(pending.pop(0), "meta"))
            if columns.octets() == b"N":
                _, _, _, children = columns.numbers(), columns.numbers(), columns.numbers(), columns.fixed(16)
                pending = children + pending
            else:
                yield columns

    def messages(self, snapshot: dict[str, Any]) -> Iterator[Message]:
        tree = json.loads(self.blob(base64.b64decode(snapshot["tree"]), "meta"))
        for mailbox in tree["mailboxes"]:
            flags: dict[int, list[str]] = {}
            for leaf in self.leaves(mailbox.get("flags")):
                uids, which, sets = leaf.deltas(), leaf.numbers(), json.loads(leaf.octets())
                flags.update((uid, sets[place]) for uid, place in zip(uids, which, strict=True))
            for leaf in self.leaves(mailbox.get("rows")):
                for uid, blob, date in rows(leaf):
                    yield Message(mailbox["name"], uid, flags[uid], date, self.blob(blob, "message"))


def rows(leaf: Columns) -> Iterator[tuple[int, bytes, str]]:
    uids, blobs, _ = leaf.deltas(), leaf.fixed(16), leaf.numbers()
    dates = [date(epoch, zone) for epoch, zone in zip(leaf.deltas(), leaf.numbers(), strict=True)]
    leaf.fixed(8)
    for position, text in zip(leaf.numbers(), leaf.strings(), strict=True):
        dates[position] = text.decode("latin-1")
    yield from zip(uids, blobs, dates, strict=True)


def date(epoch: int, zone: int) -> str:
    local = time.gmtime(epoch + zone * 60)
    text = time.strftime(f"%d-%b-{local.tm_year:04} %H:%M:%S", local)
    return f"{text} {'-' if zone < 0 else '+'}{abs(zone) // 60:02}{abs(zone) % 60:02}"


def main() -> None:
    passphrase, recovery_key = (os.environ.get(f"RESTANTE_{name}", "") for name in ("PASSPHRASE", "RECOVERY_KEY"))
    reader = Reader(Path(sys.argv[1]), passphrase=passphrase, recovery_key=recovery_key)
    reader.load_index()
    sys.stdout.writelines(f"{name} was altered\n" for name in reader.doubtful())
    for snapshot in reader.snapshots():
        sys.stdout.write(f"{snapshot['id']} {snapshot['account']} {snapshot['status']} {snapshot['messages']}\n")
        for number, message in enumerate(reader.messages(snapshot) if len(sys.argv) > 2 else (), 1):
            path = Path(sys.argv[2]) / snapshot["id"] / f"{number}.eml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(message.octets)


if __name__ == "__main__":
    main()
