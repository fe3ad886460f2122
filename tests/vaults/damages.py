"""The ways in which frozen vaults are damaged, each with the objects that `check` must name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Objects:
    """A vault's objects as files, and those that `check` must name: without reading every byte, and with."""

    root: Path
    recovery_key: str = ""
    structure: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)

    @property
    def vault(self) -> Path:
        """Where its objects lie."""
        return self.root / "vault"

    def objects(self, kind: str) -> list[Path]:
        """Return its objects below a folder, in order of name."""
        return sorted(p for p in (self.vault / kind).rglob("*") if p.is_file())

    def names(self, *paths: Path) -> list[str]:
        """Return the names of objects."""
        return sorted(str(path.relative_to(self.vault)) for path in paths)


def flip(path: Path, at: int) -> None:
    """Turn one bit of an object."""
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(bytes(data))


def cut(path: Path, size: int) -> None:
    """Let an object end early."""
    path.write_bytes(path.read_bytes()[:size])


def swap(first: Path, second: Path) -> None:
    """Let two objects lie under each other's names."""
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)


def largest(paths: list[Path]) -> Path:
    """Return the largest object, which holds the most."""
    return max(paths, key=lambda path: path.stat().st_size)


def _flipped_block(made: Objects) -> None:
    pack = largest(made.objects("packs"))
    flip(pack, 60)
    made.read = made.names(pack)


def _flipped_directory(made: Objects) -> None:
    pack = largest(made.objects("packs"))
    flip(pack, -40)
    made.read = made.names(pack)


def _flipped_header(made: Objects) -> None:
    pack = made.objects("packs")[0]
    flip(pack, 10)
    made.read = made.names(pack)


def _short_pack(made: Objects) -> None:
    pack = largest(made.objects("packs"))
    cut(pack, pack.stat().st_size // 2)
    made.structure = made.read = made.names(pack)


def _emptied_pack(made: Objects) -> None:
    pack = made.objects("packs")[-1]
    cut(pack, 0)
    made.structure = made.read = made.names(pack)


def _missing_pack(made: Objects) -> None:
    pack = largest(made.objects("packs"))
    made.structure = made.read = made.names(pack)
    pack.unlink()


def _swapped_packs(made: Objects) -> None:
    packs = sorted(made.objects("packs"), key=lambda path: path.stat().st_size)
    swap(packs[0], packs[-1])
    made.structure = made.read = made.names(packs[0], packs[-1])


def _flipped_meta(made: Objects) -> None:
    meta = largest(made.objects("meta"))
    flip(meta, 60)
    made.structure = made.read = made.names(meta)


def _missing_meta(made: Objects) -> None:
    meta = largest(made.objects("meta"))
    made.structure = made.read = made.names(meta)
    meta.unlink()


def _flipped_index(made: Objects) -> None:
    index = largest(made.objects("index"))
    flip(index, 60)
    made.structure = made.read = made.names(index)


def _missing_index(made: Objects) -> None:
    for index in made.objects("index"):
        index.unlink()
    made.structure = made.read = ["index/"]


def _damaged_snapshot(made: Objects) -> None:
    snapshot = _newest_of_two(made)
    flip(snapshot, 60)
    made.structure = made.read = made.names(snapshot)


def _missing_snapshot(made: Objects) -> None:
    snapshot = _newest_of_two(made).parent
    oldest = min(snapshot.iterdir())
    made.structure = made.read = made.names(oldest)
    oldest.unlink()


def _newest_of_two(made: Objects) -> Path:
    folders = {path.parent for path in made.objects("snapshots")}
    return max(max(folders, key=lambda folder: len(list(folder.iterdir()))).iterdir())


def _swapped_snapshots(made: Objects) -> None:
    first, second, *_ = made.objects("snapshots")
    swap(first, second)
    made.structure = made.read = made.names(first, second)


def _damaged_run(made: Objects) -> None:
    run = made.objects("runs")[0]
    cut(run, 30)
    made.structure = made.read = made.names(run)


def _damaged_key_slot(made: Objects) -> None:
    slot = made.vault / "keys" / "recovery.json"
    words = json.loads(slot.read_bytes())
    words["sealed"] = "A" + words["sealed"][1:] if words["sealed"][0] != "A" else "B" + words["sealed"][1:]
    slot.write_text(json.dumps(words, indent=1))
    made.structure = made.read = made.names(slot)
    made.recovery_key = ""


def _cut_key_slot(made: Objects) -> None:
    slot = made.vault / "keys" / "recovery.json"
    cut(slot, 100)
    made.structure = made.read = made.names(slot)
    made.recovery_key = ""


def _altered_vault_file(made: Objects) -> None:
    file = made.vault / "vault.json"
    words = json.loads(file.read_bytes())
    words["content_key"] = "A" * 8 + words["content_key"][8:]
    file.write_text(json.dumps(words, indent=1))
    made.structure = made.read = made.names(file)


def _missing_vault_file(made: Objects) -> None:
    (made.vault / "vault.json").unlink()
    made.structure = made.read = ["vault.json"]


def _other_things(made: Objects) -> None:
    for name in ("lost+found/x", "vault-2.json.bak", "index.html", "tombstones/20260105T080000Z-00000000"):
        path = made.vault / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"something else")


DAMAGES: dict[str, tuple[str, Callable[[Objects], None]]] = {
    "flipped-block": ("one bit in a block of the largest pack is another", _flipped_block),
    "flipped-directory": ("one bit in a pack's directory is another", _flipped_directory),
    "flipped-header": ("one bit in a pack's header is another", _flipped_header),
    "short-pack": ("a pack ends in its middle", _short_pack),
    "emptied-pack": ("a pack has no octet left", _emptied_pack),
    "missing-pack": ("a pack is gone", _missing_pack),
    "swapped-packs": ("two packs lie under each other's names", _swapped_packs),
    "flipped-meta": ("one bit in a meta object is another", _flipped_meta),
    "missing-meta": ("a meta object is gone", _missing_meta),
    "flipped-index": ("one bit in an index is another", _flipped_index),
    "missing-index": ("all indexes are gone", _missing_index),
    "damaged-snapshot": ("one bit in an account's newest snapshot is another", _damaged_snapshot),
    "missing-snapshot": ("an account's first snapshot is gone: the next one has a gap before it", _missing_snapshot),
    "swapped-snapshots": ("two snapshots lie under each other's names", _swapped_snapshots),
    "damaged-run": ("a run record is cut short", _damaged_run),
    "damaged-key-slot": ("the recovery slot holds something else", _damaged_key_slot),
    "cut-key-slot": ("the recovery slot is cut short", _cut_key_slot),
    "altered-vault-file": ("vault.json names another content key", _altered_vault_file),
    "missing-vault-file": ("vault.json is gone", _missing_vault_file),
    "other-things": ("sound, with objects in it that version 1 does not know", _other_things),
}
