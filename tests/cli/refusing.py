"""HTTP servers on loopback that answer as a handler says; one answers everything as an S3 store that refuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def answering(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """Run an HTTP server that answers so; give its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def refusing_s3(status: int, *, code: str = "InternalError") -> Iterator[str]:
    """Give the endpoint of a server that refuses every request with this status."""

    class Refuse(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>No</Message></Error>'.encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer  # noqa: N815  (names of the base class)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with answering(Refuse) as port:
        yield f"http://127.0.0.1:{port}"
