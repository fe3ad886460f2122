"""A pytest plugin: no secret, address or subject in anything that the code under test says while tests run.

Looked at are stdout, stderr, every log record down to DEBUG, and the text of every error that the rooms make, whether
a user meets it or not. A test during which something leaks fails, whatever else it found.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from functools import wraps
from typing import Any

import pytest

from imap.errors import ImapError
from tests.secret import leaked
from vault.errors import Trouble

_said: list[str] = []
"""Texts of errors made since the last look."""

LOUD = ("botocore", "boto3", "urllib3", "s3transfer", "hypothesis", "asyncio")
"""Libraries whose DEBUG records take longer than the tests; from INFO on they are searched too."""


def _recorded(make: Callable[..., None]) -> Callable[..., None]:
    @wraps(make)
    def recorder(self: Exception, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **named)
        _said.append(f"{self} {getattr(self, 'hint', '')}")

    return recorder


def pytest_configure() -> None:
    """Listen to every error, and to the libraries at the level that users may set."""
    for kind in (Trouble, ImapError):
        if not hasattr(kind.__init__, "__wrapped__"):
            kind.__init__ = _recorded(kind.__init__)  # type: ignore[method-assign]
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.INFO)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail the phase in which something leaked."""
    report = yield
    finding = _look(report)
    if finding and report.outcome != "failed":
        report.outcome = "failed"
        # Not the text itself: this goes to the same terminal.
        report.longrepr = f"{item.nodeid} ({call.when}): {finding}"
    return report


def _look(report: pytest.TestReport) -> str:
    errors, _said[:] = list(_said), []
    for text in errors:
        if found := leaked(text):
            return f"an error tells {found}"
    for title, text in report.sections:
        if found := leaked(text, result="stdout" in title):
            return f"{title} tells {found}"
    return ""
