"""What the service answers over HTTP: /livez, /healthz and /metrics."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from restante.errors import UsageTrouble
from restante.judging import judge
from restante.metrics import exposition
from restante.state import State
from vault.clock import Clock

SECONDS = 10
Answer = tuple[HTTPStatus, str, str]
"""Status, content type, body."""


def answer(path: str, state: State, clock: Clock) -> Answer:
    """Return what a path answers."""
    match path.partition("?")[0]:
        case "/livez":
            status = HTTPStatus.OK if state.alive else HTTPStatus.SERVICE_UNAVAILABLE
            return status, "text/plain; charset=utf-8", "alive\n" if state.alive else "the schedule stands still\n"
        case "/healthz":
            return _health(state, clock)
        case "/metrics":
            return HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", exposition(state, clock.now())
        case _:
            return HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", "/livez, /healthz and /metrics are here\n"


def _health(state: State, clock: Clock) -> Answer:
    late = sum(verdict.late for verdict in judge(state.accounts, state.history, clock.now()))
    well = state.alive and not late
    document = {
        "status": "ok" if well else "late" if late else "stalled",
        "accounts": len(state.accounts),
        "late": late,
        "running": [job.name for job in state.jobs if job.running_since is not None],
    }
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return status, "application/json", json.dumps(document) + "\n"


@contextmanager
def answering(listen: str | None, state: Callable[[], State], clock: Clock) -> Iterator[None]:
    """Answer at `host:port` while the block runs; nowhere where it is None. Raises UsageTrouble."""
    if listen is None:
        yield
        return
    with _server(listen, state, clock) as server:
        thread = threading.Thread(target=server.serve_forever, name="http", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def _server(listen: str, state: Callable[[], State], clock: Clock) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = SECONDS
        server_version = "restante"
        sys_version = ""

        def do_GET(self) -> None:
            status, kind, body = answer(self.path, state(), clock)
            octets = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  (the base class's name)
            """Say nothing: a probe comes every few seconds."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if listen.startswith("[") else socket.AF_INET

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: whoever asked went away."""

    try:
        return Server(_place(listen), Handler)
    except OSError as error:
        hint = "set service.listen to an address that is free on this machine"
        raise UsageTrouble(f"cannot listen at {listen}: {error.strerror}", hint=hint) from None


def _place(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def is_alive(listen: str) -> bool:
    """Ask the service at `host:port` whether it is alive."""
    host, port = _place(listen)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (not bound: asked)
    host = f"[{host}]" if ":" in host else host
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{host}:{port}/livez", timeout=SECONDS) as response:
            return bool(response.status == HTTPStatus.OK)
    except OSError:
        return False
