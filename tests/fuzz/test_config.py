"""Whatever stands in a configuration file: it is read, or each fault is told with its line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from restante.errors import ConfigFaults, UsageTrouble
from restante.example import example_config
from restante.loading import load_config

ODD = [
    "[" * 5000,
    "a: " * 300,
    "&a [*a]",
    "vault: &a {url: *a}",
    "accounts: &a\n  x: {source: *a}\n",
    "jobs:\n  - " * 400,
    "vault: 2026-99-99",
    "vault: 2026-11-23 99:99:99",
    "limits: {connections: " + "9" * 5000 + "}",
    "limits: {connections: 1e999}",
    "service: {listen: 'h:" + "9" * 5000 + "'}",
    "accounts: [{name: a, url: 'imaps://a@h:" + "9" * 5000 + "', sieve: 'sieve://h:" + "9" * 5000 + "'}]",
    "jobs: [{name: a, rpo: 0x" + "f" * 5000 + ", sample: 0x" + "f" * 5000 + "}]",
    "servers: [{name: a, account: 7}, {name: b, account: }]",
    "limits: {connections: .inf}",
    "limits: {connections: 0x}",
    "limits: {connections: 190:20:30}",
    "vault: !!binary '='",
    "vault: !!python/object/apply:os.system [x]",
    "vault: !!timestamp x",
    "vault: !!int ''",
    "vault: !!float x",
    "vault: !!set {a}",
    "vault: !!omap [a]",
    "? [a]\n: b",
    "? {a: b}\n: c",
    "? !!binary aGk=\n: c",
    "<<: 1",
    "<<: [1]",
    "<<: {vault: {url: x}}",
    "1: 2",
    "null: 2",
    "~",
    "- a",
    "'",
    "\u2028: \x85",
    "%YAML 9.9\n---\na",
    "--- a\n--- b",
    "\ufeffvault: x",
    "vault: {url: s3://b, url: s3://c}",
    "a: &x [1]\nb: [*x, *x]\nc: *y",
]
PIECE = st.one_of(
    st.sampled_from([line + "\n" for line in example_config().splitlines()]),
    st.sampled_from([odd + "\n" for odd in ODD if len(odd) < 100]),
    st.sampled_from(
        [": ", "- ", "  ", "\n", "{", "}", "[", "]", "&a ", "*a", "!!int ", "|\n", "'", '"', "~", "#", "%"]
    ),
    st.text(st.characters(codec="utf-8"), max_size=10),
)


def read(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    with suppress(UsageTrouble):
        load_config(file)


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_each_oddity_we_know_of_is_read_or_told(text: str, tmp_path: Path) -> None:
    read(tmp_path / "config.yaml", text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=150)
@given(text=st.lists(PIECE, max_size=40).map("".join))
def test_any_text_is_a_configuration_or_told_why_not(text: str, tmp_path: Path) -> None:
    read(tmp_path / "config.yaml", text)


def test_what_only_looks_like_a_date_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("vault:\n  url: 2026-99-99\n")
    with pytest.raises(ConfigFaults) as caught:
        load_config(tmp_path / "config.yaml")
    [fault] = caught.value.faults
    assert (fault.line, "quotes" in fault.message) == (2, True)
