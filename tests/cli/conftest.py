"""What tests of the command line share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Command, bare_command


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command on an empty machine."""
    return bare_command(tmp_path)
