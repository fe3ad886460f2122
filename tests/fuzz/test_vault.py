"""Every parser of what lies in a vault: a backup host's key seals anything, and none of it may break a reader."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults import MemoryStore
from tests.fuzz.parsers import VAULT
from tests.secret import new_secret
from vault.columns import ColumnError, ColumnWriter
from vault.errors import Damage
from vault.ids import BlobId, ObjectName, SnapshotId
from vault.keyring import init_vault
from vault.model import Snapshot
from vault.recipe import PLAIN, Stored, encode_recipe, rebuild
from vault.records import RunRecord, open_run, open_snapshot, seal_record, snapshot_name
from vault.slots import Passphrase
from vault.table import message_table
from vault.vault import open_vault

NUMBER = st.one_of(st.integers(-3, 20), st.integers(-(1 << 63), (1 << 63) - 1))
COLUMN = st.one_of(
    st.lists(NUMBER, max_size=4).map(lambda found: ("numbers", found)),
    st.lists(st.binary(max_size=20), max_size=4).map(lambda found: ("strings", found)),
    st.binary(max_size=70).map(lambda found: ("octets", found)),
    st.integers(0, 4).map(lambda count: ("octets", bytes(range(16)) * count)),
    st.sampled_from([b"[]", b'[["a"]]', b"[[1]]", b"[" * 5000, b'["\xff"]']).map(lambda text: ("octets", text)),
)
SHAPES = {
    "recipe": ("snns", b"\1", b""),
    "rows": ("nfnnngns", b"", b"R"),
    "flags": ("nnj", b"", b"F"),
    "nodes": ("nnnf", b"", b"N"),
    "directory": ("fnnnnnnfn", b"", b""),
    "index": ("ffoPonnnnnnnfn", b"", b""),
    "catalogue": ("fsssssss", b"", b"C"),
    "uses": ("PfnF", b"", b"U"),
}
"""What each is made of: n numbers, f ids, g ids of 8, P ids of 32, s strings, j JSON, o octets."""


def columns(data: st.DataObject, shape: str, mark: bytes) -> bytes:
    """Write columns of the right kinds and one length, mostly, with numbers of any size."""
    writer = ColumnWriter()
    if mark:
        writer.octets(mark)
    count = data.draw(st.integers(0, 4))
    for kind in shape:
        length = data.draw(st.sampled_from([count] * 15 + [1]))
        match kind:
            case "n":
                writer.numbers(data.draw(st.lists(NUMBER, min_size=length, max_size=length)))
            case "s":
                writer.strings(data.draw(st.lists(st.binary(max_size=9), min_size=length, max_size=length)))
            case "j":
                writer.octets(data.draw(st.sampled_from([b"[]", b'[["a"],[]]', b"[[1]]", b"[" * 5000, b'["\xff"]'])))
            case _:
                writer.octets(bytes({"f": 16, "g": 8, "P": 32}.get(kind, 1) * length))
    return writer.done()


@pytest.mark.parametrize("name", SHAPES)
@given(data=st.data())
def test_columns_of_the_right_kinds_with_any_numbers_are_read_or_refused(name: str, data: st.DataObject) -> None:
    shape, first, mark = SHAPES[name]
    VAULT[name].survives(first + columns(data, shape, mark))


@pytest.mark.parametrize("name", VAULT)
@given(st.one_of(st.binary(), st.lists(COLUMN, max_size=9)))
def test_wild_octets_and_columns_are_read_or_refused(name: str, found: bytes | list[tuple[str, list[bytes]]]) -> None:
    if not isinstance(found, bytes):
        writer = ColumnWriter()
        for kind, values in found:
            getattr(writer, kind)(values)
        found = writer.done()
    VAULT[name].survives(found)
    VAULT[name].survives(b"\1" + found)


def test_a_recipe_with_a_long_line_end_is_refused_before_it_fills_the_memory() -> None:
    stored = encode_recipe([Stored(b"", BlobId(b"1" * 16), 4, b"\n" * (1 << 20))])
    tracemalloc.start()
    with pytest.raises(ColumnError):
        rebuild(stored, lambda _: bytes(1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


@pytest.mark.parametrize("width", [1, 3, 5, 1 << 40, -2])
def test_a_recipe_with_a_width_that_no_base64_has_is_refused(width: int) -> None:
    columns = ColumnWriter().strings([b""]).octets(b"1" * 16).numbers([width]).strings([b"\n"])
    with pytest.raises(ColumnError):
        rebuild(b"\1" + columns.done(), lambda _: bytes(1000))


@pytest.mark.parametrize("bits", [15, 21, 9, 0, -6, 6 << 40])
def test_nodes_that_never_come_to_a_leaf_are_refused(bits: int) -> None:
    def node(blob: BlobId) -> bytes:
        (depth,) = struct.unpack("<q", blob[:8])
        child = struct.pack("<q8x", depth + 1)
        return ColumnWriter().octets(b"N").numbers([bits]).numbers([1]).numbers([1]).octets(child).done()

    def read(blob: BlobId) -> bytes:
        return node(blob)

    if bits == 15:
        assert message_table(read, bytes(16)).count == 1
        return
    with pytest.raises(ColumnError):
        message_table(read, bytes(16))


def test_plain_octets_are_any_octets() -> None:
    assert rebuild(PLAIN + b"\1\2", lambda _: b"") == b"\1\2"


@pytest.mark.parametrize("time", ["", "yesterday", "2026-11-23T10:00:00", "2026-99-99T10:00:00Z", "9" * 5000])
def test_a_record_of_no_moment_is_damage(time: str) -> None:
    store, secret = MemoryStore(), Passphrase(new_secret())
    init_vault(store, secret.text)
    ring = open_vault(store, secret).ring
    account, moment = ring.account_id("anna"), SnapshotId("20261123T100000Z-00000000")
    snapshot = Snapshot(
        id=moment, account="anna", account_id=account, time=time, status="complete", tree=BlobId(bytes(16)),
        mailboxes=0, messages=0, octets=0, sequence=1, previous="",
    )  # fmt: skip
    name = snapshot_name(account, moment)
    with pytest.raises(Damage):
        open_snapshot(ring, name, seal_record(ring, "S", name, snapshot))
    name, run = ObjectName(f"runs/{moment}"), RunRecord(started=time, finished="2026-11-23T10:00:00Z", accounts=())
    with pytest.raises(Damage):
        open_run(ring, name, seal_record(ring, "R", name, run))
