"""The house's own rules, where no linter holds them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LEAKY = """
import logging
import sys
import pytest
from imap.errors import LoginRefused
from tests.secret import PRIVATE_ADDRESS, PRIVATE_SUBJECT, keep_secret
from vault.errors import WrongSecret

keep_secret("hunter-2-hunter")

def test_prints_a_secret():
    print("password: hunter-2-hunter")

def test_tells_a_secret_on_stderr_in_a_fixture(setup):
    pass

@pytest.fixture
def setup():
    sys.stderr.write("with hunter-2-hunter!")

def test_logs_a_secret_for_debugging():
    logging.getLogger("imapclient.imaplib").debug("> LOGIN anna %r", b"hunter-2-hunter")

def test_logs_a_traceback_with_an_address():
    try:
        raise ValueError("no mailbox for anna@" + PRIVATE_ADDRESS)
    except ValueError:
        logging.getLogger("restante").exception("odd")

def test_raises_an_error_with_a_subject():
    with pytest.raises(LoginRefused):
        raise LoginRefused("refused", hint=f"the message {PRIVATE_SUBJECT} is too long")

def test_swallows_an_error_with_a_secret():
    str(WrongSecret("hunter-2-hunter does not open this vault"))

def test_fine_shows_a_subject_as_a_result():
    print(PRIVATE_SUBJECT)

def test_fine_says_nothing_private():
    logging.getLogger("restante").warning("1 message of 3,000 octets")
    sys.stderr.write("error: no passphrase opens this vault")
"""


def test_a_test_in_which_something_leaks_fails(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(test_leaky=LEAKY)
    run = pytester.run(
        *(pytester._getpytestargs()), "-p", "tests.leaks", "--log-level=DEBUG", "-rA", "-q",
        "--show-capture=no",
    )  # fmt: skip
    outcomes = {line.split("::")[1].split(" ")[0]: line.split(" ")[0] for line in run.outlines if "py::" in line[:40]}
    leaks = re.findall(r"def (test_(?!fine)\w+)", LEAKY)
    assert {name for name, outcome in outcomes.items() if outcome in {"FAILED", "ERROR"}} == set(leaks)
    assert {name for name, outcome in outcomes.items() if outcome == "PASSED"} >= {
        "test_fine_shows_a_subject_as_a_result",
        "test_fine_says_nothing_private",
    }


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt", "requirements-build.txt"])
def test_a_lock_names_no_host_and_gives_every_package_a_hash(file: str) -> None:
    lock = (ROOT / file).read_text()
    assert "://" not in lock
    assert not re.search(r"^-|^\.|/", lock, re.MULTILINE)
    entries = re.split(r"\n(?=\S)", lock.strip())
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)


def test_the_locks_hold_what_the_project_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    developing = [*extras["dev"], *extras["test"], *extras["demo"], *extras["bench"]]
    for file, wanted in (
        ("requirements.txt", project["dependencies"]),
        ("requirements-dev.txt", [*project["dependencies"], *developing]),
    ):
        locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / file).read_text(), re.MULTILINE))
        names = {re.split(r"[\[<>=]", each)[0] for each in wanted} - {"restante"}
        assert names <= locked, file


def test_two_locks_agree_on_every_version() -> None:
    image, tests = ((ROOT / file).read_text() for file in ("requirements.txt", "requirements-dev.txt"))
    pinned = re.findall(r"^[a-z0-9-]+==\S+", image, re.MULTILINE)
    assert pinned
    assert all(re.search(rf"^{re.escape(pin)}(?!\S)", tests, re.MULTILINE) for pin in pinned)
