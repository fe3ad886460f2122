"""Starting and ending server processes, so that none outlives the test run."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNPACKED = ROOT / ".cache" / "servers"
"""Where `scripts/system-packages.sh` unpacks what can't be installed beside Dovecot."""

_FIRST = 'trap : TERM; "$@" & wait; wait'

START_SECONDS = 60.0
STOP_SECONDS = 1.0

# The kernel ends the servers with the *thread* that started them, so one thread that lives as long as we do starts all.
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="servers")


class ServerMissing(AssertionError):
    """The server's programs are not on this machine."""

    def __init__(self, name: str, remedy: str = "") -> None:
        remedy = remedy or f"{name} is not installed: run `scripts/system-packages.sh {name}`"
        super().__init__(f"{remedy}, or leave its tests out with RESTANTE_TEST_WITHOUT={name}")


def need_namespaces(name: str) -> None:
    """Raise ServerMissing unless we are root and may have namespaces, which containers seldom allow unasked."""
    command = ["unshare", "--mount", "--uts", "--pid", "--fork", "true"]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        raise ServerMissing(name, f"{name} needs root and namespaces (in a container, CAP_SYS_ADMIN)")


def hashed(password: str) -> str:
    """Return a password as Unix servers keep it in their files (crypt(3))."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    found = crypt(password.encode(), f"$6${secrets.token_hex(8)}".encode())
    assert isinstance(found, bytes)
    return found.decode()


class ServerFailed(AssertionError):
    """The server did not start, or ended by itself."""


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listened on a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def new_directory(name: str) -> Path:
    """Make a directory that servers which give up root's rights can still reach, unlike pytest's `tmp_path`."""
    directory = Path(tempfile.mkdtemp(prefix=f"restante-{name}-"))
    directory.chmod(0o755)
    return directory


def find_program(*places: str) -> str | None:
    """Return the first of these programs there is: a path, or a name looked up on PATH and in /usr/sbin."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = (shutil.which(place, path=path) for place in places)
    return next((program for program in found if program), None)


class Server:
    """One child process that listens on ports of loopback.

    With `apart` it lives in a process namespace of its own, and in those that are named: for servers that leave our
    group or change their user, which no signal of ours would reach if we died.
    """

    def __init__(
        self,
        command: Sequence[str],
        ports: Sequence[int],
        log: Path,
        env: Mapping[str, str],
        *,
        apart: Sequence[str] | None = None,
    ) -> None:
        self.command = list(command)
        self.ports = list(ports)
        self.log = log
        self.env = dict(env)
        self.apart = apart
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return once every port answers. Raises ServerFailed with the end of its log."""
        try:
            self._start()
        except ServerFailed:
            # Somebody's connection may have taken one of our ports while nobody listened there.
            self.kill()
            time.sleep(1)
            self._start()

    def _start(self) -> None:
        self.process = _SPAWNER.submit(self._spawn).result()
        for port in self.ports:
            wait_for(lambda port=port: self._answers(port), START_SECONDS, self.story)  # type: ignore[misc]

    def stop(self) -> None:
        """End it, children too; what it stored stays. Nothing happens when it is not running."""
        process, self.process = self.process, None
        if process is None:
            return
        # The whole group: Dovecot's master alone waits seconds for its children.
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        _kill(process)

    def pause(self) -> None:
        """Let it stand still, connections open, until it is ended."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGSTOP)

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        process, self.process = self.process, None
        if process is not None:
            _kill(process)

    def _spawn(self) -> subprocess.Popen[bytes]:
        tie = find_program("setpriv")
        command = [tie, "--pdeathsig", "TERM", *self.command] if tie else self.command
        if self.apart is not None:
            # The namespace ends with its first process, which must be one that never changes its user.
            fence = ["unshare", *self.apart, "--pid", "--fork", "--kill-child", "sh", "-c", _FIRST, "sh"]
            command = ["setpriv", "--pdeathsig", "KILL", *fence, *self.command]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env, start_new_session=True
            )

    def _answers(self, port: int) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise ServerFailed(self.story())
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    def story(self) -> str:
        """Return the ends of its logs."""
        logs = [log.read_text(errors="replace")[-2000:] for log in sorted(self.log.parent.glob("*.log"))]
        return f"{self.command[0]} does not do its work\n" + "\n".join(logs)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(condition: Callable[[], bool], seconds: float, story: Callable[[], str] = lambda: "") -> None:
    """Return as soon as the condition holds. Raises ServerFailed with `story()` when it never does."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise ServerFailed(story())
        time.sleep(0.02)
