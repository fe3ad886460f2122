"""The format's page and the code say the same words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from vault.catalogue import decode_catalogue, describe, encode_catalogue
from vault.columns import ColumnReader
from vault.ids import BlobId

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/vault-format.md").read_text()
CODE = sorted((ROOT / "vault").glob("*.py"))
SAYING = {"derive": 1}
"""Functions one of whose arguments is a word of the format."""


def words() -> Iterator[tuple[str, str]]:
    """Yield every label in the code, and where it stands."""
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, bytes) and node.value.startswith(b"restante"):
                yield path.name, node.value.decode().strip()
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                at = SAYING.get(name, len(node.args))
                argument = node.args[at] if at < len(node.args) else None
                if isinstance(argument, ast.Constant):
                    value = argument.value
                    yield path.name, value.decode() if isinstance(value, bytes) else str(value)


FOUND = sorted(set(words()))


def test_the_words_are_found() -> None:
    assert {
        "message id",
        "account id",
        "vault file",
        "directory",
        "M",
        "recovery slot",
        "piece id",
        "meta id",
        "server id",
    } <= {word for _, word in FOUND}


@pytest.mark.parametrize("file, word", FOUND)
def test_every_word_that_goes_into_a_key_stands_on_the_page(file: str, word: str) -> None:
    assert re.search(rf"[`\"]{re.escape(word)} ?[`\"]", PAGE), f"{file} derives from {word!r}, the page does not say so"


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.name)
def test_every_section_that_the_code_cites_is_on_the_page(path: Path) -> None:
    for section in re.findall(r"vault-format\.md §(\d)", path.read_text()):
        assert f"\n## {section}. " in PAGE


def test_a_catalogue_begins_with_its_mark_and_anything_else_is_left_alone() -> None:
    entry = describe(BlobId(b"x" * 16), [b"Subject: a\r\n\r\n"])
    data = encode_catalogue([entry])
    assert ColumnReader(data).octets() == b"C"
    assert [found.subject for found in decode_catalogue(data)] == ["a"]
    assert decode_catalogue(data.replace(b"C", b"D", 1)) == []
