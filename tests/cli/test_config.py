"""`restante config`: all faults at once, each with its line; sample and schema say what the declaration says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from restante.errors import ConfigFaults
from restante.loading import load_config
from tests.cli.command import ROOT, Command, assert_one_error
from tests.secret import new_secret

FIVE_FAULTS = f"""\
vault:
  url: ftp://backup.example.org/mail
  chache: /var/cache/restante
accounts:
  - name: alice@example.org
    url: imaps://alice:{new_secret()}@mail.example.org
    exclude: Junk
  - name: alice@example.org
    url: imaps://bob@mail.example.org
"""


ALICE = "vault:\n  url: file:///x\naccounts:\n  - name: alice\n    url: imaps://a@b\n"
JOB = ALICE + "jobs:\n  - name: hourly\n    schedule: "


def write(command: Command, text: str) -> str:
    file = command.cwd / "five.yaml"
    file.write_text(text)
    return str(file)


def test_five_faults_are_told_at_once_each_with_its_line_and_a_hint(command: Command) -> None:
    file = write(command, FIVE_FAULTS)
    outcome = command("config", "check", "-c", file)
    assert outcome.code == 2
    assert [line.split(":")[2] for line in outcome.errors] == ["2", "3", "6", "7", "8"]
    assert len(outcome.hints) == 5
    assert outcome.out == ""


def test_other_commands_tell_the_same_faults(command: Command) -> None:
    file = write(command, FIVE_FAULTS)
    assert command("backup", "-c", file).err == command("config", "check", "-c", file).err


def test_faults_come_as_json_too(command: Command) -> None:
    outcome = command("config", "check", "--json", "-c", write(command, FIVE_FAULTS))
    assert outcome.code == 2
    assert outcome.err == ""
    assert outcome.document["status"] == "failed"
    assert {fault["path"] for fault in outcome.document["faults"]} == {
        "vault.url", "vault.chache", "accounts.0.url", "accounts.0.exclude", "accounts.1.name",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text, line, words",
    [
        ("vault:\n\turl: file:///x\n", 2, "not YAML"),
        ("vault: " + "[" * 99_999, 1, "nested too deeply"),
        ("vault:\n  url: &here [*here]\n", 1, "within itself"),
        ("", 1, "vault is missing"),
        ("vault:\n  url: file:///x\naccounts:\n  name: alice\n", 3, "accounts"),
        ("vault:\n  url: file:///x\n  url: file:///y\n", 3, "set twice"),
        ("vault:\n  url: file:///x\n  passphrase_env: A\n  key_file: b\n", 4, "both set"),
        ("vault:\n  url: s3://key:secret@bucket/x\n", 2, "credentials"),
        ("vault:\n  url: file:///x\njobs:\n  - name: nightly\n    accounts: ['nobody*']\n", 5, "matches no account"),
        ("vault:\n  url: file:///x\nlimits:\n  connections: 99\n", 4, "should be a whole number <= 16"),
        ("vault:\n  url: file:///x\nlimits:\n  connections: 0\n", 4, "should be a whole number >= 1"),
        ("vault:\n  url: file:///x\nlimits:\n  connections: four\n", 4, "should be a whole number, not text"),
        ("vault:\n  url: file:///x\nlimits:\n  connections: yes\n", 4, "should be a whole number, not true or false"),
        ("vault:\n  url: file:///x\n  cache: 7\n", 3, "should be text, not a whole number"),
        ("vault:\n  url: file:///x\naccounts: [alice]\n", 3, "accounts.0: should hold settings"),
        ("- vault\n", 1, "the file: should hold settings"),
        (ALICE + "    exclude: Junk\n", 6, "should be a list, not text"),
        (ALICE + "    namespaces: []\n", 6, "should be a list of length >= 1"),
        (ALICE + "    namespaces: [personal, nobody]\n", 6, "should be one of personal, other, shared"),
        (ALICE + "    password: x\n", 6, "not a setting"),
        (ALICE + "    oauth2: {}\n", 6, "token"),
        (JOB + "{every: soon}\n", 8, "span of time"),
        (JOB + "{every: 0h}\n", 8, "span of time"),
        (JOB + "{every: 60}\n", 8, "span of time"),
        (JOB + "{every: 1h, cron: '0 2 * * *'}\n", 8, "both set"),
        (JOB + "{timezone: UTC}\n", 8, "does not say when"),
        (JOB + "{cron: '0 2 * *'}\n", 8, "five fields"),
        (JOB + "{cron: '0 25 * * *'}\n", 8, "not a cron expression"),
        (JOB + "{cron: '0 2 1 * 1'}\n", 8, "both set"),
        (JOB + "{cron: '0 2 * * 8'}\n", 8, "day of the week"),
        (JOB + "{cron: '0 2 * * *', timezone: Mars/Olympus}\n", 8, "time zone"),
        (ALICE + "jobs:\n  - name: hourly\n    sample: 5%\n", 8, "sample means nothing"),
        (ALICE + "jobs:\n  - name: proof\n    does: check\n    rpo: 5h\n", 9, "rpo means nothing"),
        (ALICE + "    bytes_per_day: 2500\n", 6, "not a size"),
        (ALICE + "    bytes_per_day: 0 MB\n", 6, "not a size"),
        (ALICE + "    bandwidth: 20 MB\n", 6, "not a bandwidth"),
        (ALICE + "service:\n  listen: anywhere\n", 7, "address"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_line(command: Command, text: str, line: int, words: str) -> None:
    file = write(command, text)
    assert_one_error(command("config", "check", "-c", file), 2, f"{file}:{line}: ", words)


def test_a_sound_configuration_is_called_sound(command: Command) -> None:
    outcome = command.well("config", "check", "-c", str(ROOT / "config.example.yaml"))
    assert "is sound: 1 account, 1 job" in outcome.out


def test_whole_servers_are_counted_too(command: Command) -> None:
    server = "servers:\n  - {url: 'imaps://master@mail.example.org?master=*', name: mail, users: [anna, bert]}\n"
    file = write(command, "vault:\n  url: file:///vault\n" + server)
    assert "is sound: 0 accounts, 1 server, 0 jobs" in command.well("config", "check", "-c", file).out


def test_a_missing_configuration_is_told(command: Command) -> None:
    assert_one_error(command("config", "check", "-c", "nowhere.yaml"), 2, "nowhere.yaml")
    assert_one_error(command("config", "check", RESTANTE_CONFIG="nowhere.yaml"), 2, "nowhere.yaml")


def test_the_configuration_is_found_where_the_page_says(command: Command) -> None:
    (command.cwd / "restante.yaml").write_text("vault:\n  url: file:///here\n")
    named = command.cwd / "named.yaml"
    named.write_text("vault:\n  url: file:///named\n")
    assert "restante.yaml is sound" in command.well("config", "check").out
    assert "named.yaml is sound" in command.well("config", "check", RESTANTE_CONFIG=str(named)).out
    assert "named.yaml is sound" in command.well("config", "check", "-c", str(named), RESTANTE_CONFIG="other").out


def test_the_sample_file_is_what_the_declaration_generates(command: Command) -> None:
    assert command.well("config", "example").out == (ROOT / "config.example.yaml").read_text()


def test_the_schema_names_every_setting_and_allows_no_other(command: Command) -> None:
    schema = command.well("config", "schema").document
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert set(schema["properties"]) == {
        "vault",
        "accounts",
        "servers",
        "replicas",
        "jobs",
        "limits",
        "notify",
        "service",
    }
    assert schema["required"] == ["vault"]
    for section in (schema, *schema["$defs"].values()):
        assert section["additionalProperties"] is False
        assert all({"description", "$ref"} & set(setting) for setting in section["properties"].values())


def test_the_schema_takes_as_text_what_is_read_as_a_span_a_size_or_a_share(command: Command) -> None:
    sections = command.well("config", "schema").document["$defs"]
    written = [("Job", "rpo"), ("Job", "sample"), ("Account", "bandwidth"), ("Account", "bytes_per_day")]
    for section, name in written:
        setting = sections[section]["properties"][name]
        text, nothing = setting["anyOf"]
        assert (text.keys(), text["type"], nothing) == ({"type", "pattern"}, "string", {"type": "null"})
        assert re.search(text["pattern"], setting["examples"][0])


@pytest.mark.parametrize("written", ["4", "'4'", "4.0"])
def test_a_number_may_stand_in_quotes_as_templates_write_it(written: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"vault:\n  url: file:///x\nlimits:\n  connections: {written}\n")
    assert load_config(file).config.limits.connections == 4


def test_every_setting_commented_out_in_the_sample_is_valid_when_it_is_put_in(tmp_path: Path) -> None:
    lines = (ROOT / "config.example.yaml").read_text().splitlines()
    settings = [number for number, line in enumerate(lines) if _is_commented_setting(line)]
    assert len(settings) > 5
    file = tmp_path / "one.yaml"
    for number in settings:
        file.write_text("\n".join([*lines[:number], lines[number].replace("# ", "", 1), *lines[number + 1 :]]))
        expected = ("both set", "means nothing")
        assert all(any(words in message for words in expected) for message in messages(file)), lines[number]


def messages(file: Path) -> list[str]:
    try:
        load_config(file)
    except ConfigFaults as trouble:
        return [fault.message for fault in trouble.faults]
    return []


def _is_commented_setting(line: str) -> bool:
    """Whether a line is a plain setting behind one `# `, not prose and not a part of a section behind `# `."""
    return re.fullmatch(r" *# [a-z_]+: \S.*", line) is not None


def test_relative_paths_start_at_the_file(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "secret").write_text(new_secret() + "\n")
    (folder / "conf.yaml").write_text(f"vault:\n  url: file://{tmp_path}/v\n  passphrase_file: secret\n")
    command.well("init", "-c", str(folder / "conf.yaml"))
