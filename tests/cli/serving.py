"""The service as it is run: a process of its own, a configuration that tests change, and its log."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cli.command import Command, Outcome
from tests.secret import new_secret, watched
from tests.servers import DovecotServer
from tests.servers.process import free_ports, wait_for

SECONDS = 40


@dataclass
class Serving:
    """One vault, one configuration, and the service for both."""

    command: Command
    config: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port = free_ports(1)[0]
        (self.command.cwd / "passphrase").write_text(new_secret())
        self.config = {
            "vault": {"url": f"file://{self.vault}", "passphrase_file": "passphrase", "cache": "cache"},
            "accounts": [],
            "jobs": [],
            "service": {"listen": f"127.0.0.1:{self.port}"},
        }
        self.write()
        self("init")

    @property
    def vault(self) -> Path:
        return self.command.cwd / "vault"

    @property
    def log_path(self) -> Path:
        return self.command.cwd / "service.log"

    def account(self, server: DovecotServer, name: str, *, port: int | None = None, **settings: Any) -> None:
        """Put an account of a server into the configuration."""
        (self.command.cwd / f"{name}.password").write_text(server.password(name))
        url = server.url(name).replace(f":{server.port}", f":{port or server.port}")
        self.config["accounts"].append({"name": name, "url": url, "password_file": f"{name}.password", **settings})

    def job(self, name: str, **settings: Any) -> None:
        """Put a job into the configuration; `every` and `cron` are its schedule's."""
        when = {key: settings.pop(key) for key in ("every", "cron") if key in settings}
        self.config["jobs"].append({"name": name, **({"schedule": when} if when else {}), **settings})

    def write(self) -> None:
        """Save the configuration (JSON is YAML)."""
        (self.command.cwd / "restante.yaml").write_text(json.dumps(self.config, indent=1))

    def __call__(self, *arguments: str) -> Outcome:
        """Run another command with the same configuration."""
        self.write()
        outcome = self.command(*arguments)
        assert outcome.code in (0, 1), outcome
        return outcome

    def status(self) -> Any:
        """Return what `restante status` tells."""
        return self("status", "--json").document

    @contextmanager
    def running(self, *program: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the service; its log is searched for what must not stand there."""
        self.write()
        with self.log_path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *(program or ("-m", "restante")), "run"],
                cwd=self.command.cwd,
                env=self.command.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self.await_("service started")
            yield process
        finally:
            process.kill()
            process.wait()
            text = watched(self.log_path.read_text())
            assert "Traceback" not in text, text
            assert "@" not in text, text

    def leave(self, process: subprocess.Popen[bytes], seconds: float = SECONDS) -> int:
        """Tell the service to leave; return its exit code."""
        process.send_signal(signal.SIGTERM)
        return process.wait(seconds)

    def log(self, event: str = "", **fields: str) -> list[dict[str, str]]:
        """Return the lines of the log that tell of an event."""
        text = self.log_path.read_text()
        lines = [_fields(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [line for line in lines if (not event or line.get("event") == event) and fields.items() <= line.items()]

    def await_(self, event: str, times: int = 1, **fields: str) -> dict[str, str]:
        """Wait until the log tells of an event so many times; return the last line."""
        wait_for(lambda: len(self.log(event, **fields)) >= times, SECONDS, self.log_path.read_text)
        return self.log(event, **fields)[times - 1]

    def get(self, path: str) -> tuple[int, str]:
        """Ask the running service over HTTP."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


def _fields(line: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in shlex.split(line) if "=" in word)
