"""Who is told: a real mail server, and what Apprise posts to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import bare_command
from tests.cli.serving import Serving
from tests.servers.smtp import Mailroom, mailroom


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    """An empty vault and a configuration."""
    return Serving(bare_command(tmp_path))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Mailroom]:
    """A mail server that demands STARTTLS and a login."""
    (tmp_path / "smtp").mkdir()
    with mailroom(tmp_path / "smtp") as open_room:
        yield open_room


@pytest.fixture
def chat() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """What Apprise's json:// posts to: its port, and what was posted."""
    posted: list[dict[str, Any]] = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append({"path": self.path, **json.loads(body)})
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  (the base class's name)
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Chat) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, posted
        server.shutdown()
