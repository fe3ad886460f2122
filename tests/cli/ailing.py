"""A proxy before an S3 server, which falls ill when a test says so."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler

from tests.cli.refusing import answering
from tests.servers import RcloneS3

HOP_BY_HOP = {"Transfer-Encoding", "Connection"}
REFUSAL: tuple[int, dict[str, str], bytes] = (500, {}, b"<Error><Code>InternalError</Code></Error>")


@dataclass
class Health:
    """How many more PUTs get through to an S3 server. At the next it falls ill: all it answers then is 500."""

    port: int = 0
    puts: float = math.inf


@contextmanager
def ailing(s3: RcloneS3) -> Iterator[Health]:
    """Run a proxy before a server that can be ill."""
    health, lock = Health(), threading.Lock()

    class Forward(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                health.puts -= self.command == "PUT"
                ill = health.puts < 0
            status, headers, body = REFUSAL if ill else self.asked(data)
            self.send_response_only(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer  # noqa: N815  (names of the base class)

        def asked(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
            with closing(HTTPConnection("127.0.0.1", s3.port, timeout=30)) as behind:
                behind.request(self.command, self.path, data or None, dict(self.headers))
                answered = behind.getresponse()
                body = answered.read()
                return answered.status, {k: v for k, v in answered.getheaders() if k not in HOP_BY_HOP}, body

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with answering(Forward) as health.port:
        yield health
