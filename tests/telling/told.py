"""Configurations that tell somebody, and what was told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.cli.command import Outcome
from tests.cli.serving import SECONDS, Serving
from tests.secret import new_secret
from tests.servers.process import wait_for
from tests.servers.smtp import Mailroom


def by_mail(serving: Serving, room: Mailroom, **settings: Any) -> None:
    """Have the configuration tell by mail."""
    (serving.command.cwd / "smtp-password").write_text(room.password)
    email = {
        "host": "localhost", "port": room.port, "ca": str(room.ca), "user": room.user,
        "password_file": "smtp-password", "from": "Restante <restante@example.org>", "to": ["admin@example.org"],
    }  # fmt: skip
    serving.config["notify"] = {"email": {k: v for k, v in {**email, **settings}.items() if v is not None}}


def wrong_password(serving: Serving, user: str, password: str | None = None) -> None:
    """Put another password into an account's file."""
    (serving.command.cwd / f"{user}.password").write_text(password or new_secret())


def damaged(vault: Path) -> dict[Path, bytes]:
    """Damage every pack; return what they held."""
    held = {path: path.read_bytes() for path in vault.glob("packs/**/*") if path.is_file()}
    for path, octets in held.items():
        path.chmod(0o600)
        place = len(octets) // 3
        path.write_bytes(octets[:place] + bytes([octets[place] ^ 1]) + octets[place + 1 :])
    return held


def run(serving: Serving, *arguments: str) -> Outcome:
    """Run a command whose exit code is its own."""
    serving.write()
    return serving.command(*arguments)


def body(room: Mailroom) -> str:
    """Return the text of the newest mail."""
    return str(room.mails[-1].get_content())


def arrived(serving: Serving, room: Mailroom, number: int) -> list[str]:
    """Wait until the mail server has so many messages; return their subjects."""
    wait_for(lambda: len(room.mails) >= number, SECONDS, serving.log_path.read_text)
    return room.subjects
