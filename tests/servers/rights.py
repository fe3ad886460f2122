"""A gate before an S3 server that lets through what a policy allows: the servers here check no policies themselves.

Which request needs which action: the "Actions, resources, and condition keys for Amazon S3" page of the Service
Authorization Reference, and the Permissions section of each operation in the API Reference.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

_BUCKET_QUERIES = {
    "versions": "s3:ListBucketVersions",
    "versioning": "s3:GetBucketVersioning",
    "object-lock": "s3:GetBucketObjectLockConfiguration",
}
_LOCK_HEADERS = "x-amz-object-lock-"


def actions_of(method: str, target: str, headers: Collection[str]) -> set[str]:
    """Return the actions that a request needs."""
    parts = urlsplit(target)
    query = parse_qs(parts.query, keep_blank_values=True)
    _, _, key = parts.path.lstrip("/").partition("/")
    if not key:
        return {next((action for word, action in _BUCKET_QUERIES.items() if word in query), "s3:ListBucket")}
    version = "Version" if "versionId" in query else ""
    match method:
        case "GET" | "HEAD":
            return {"s3:GetObjectRetention" if "retention" in query else f"s3:GetObject{version}"}
        case "DELETE":
            return {f"s3:DeleteObject{version}"}
        case _ if "retention" in query:
            bypass = {"s3:BypassGovernanceRetention"} if "x-amz-bypass-governance-retention" in headers else set()
            return {"s3:PutObjectRetention", *bypass}
        case _:
            locked = any(name.startswith(_LOCK_HEADERS) for name in headers)
            return {"s3:PutObject", *({"s3:PutObjectRetention"} if locked else ())}


class Gate:
    """Forwards to a port what `allowed` covers; `asked` is every action that was needed, `refused` what was not had."""

    def __init__(self, port: int, allowed: Collection[str]) -> None:
        self.upstream = port
        self.allowed = frozenset(allowed)
        self.asked: set[str] = set()
        self.refused: set[str] = set()
        gate = self

        class Handler(_Handler):
            owner: ClassVar[Gate] = gate

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Take no more requests."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: ClassVar[Gate]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _pass(self) -> None:
        gate = self.owner
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        needed = actions_of(self.command, self.path, [name.lower() for name in self.headers])
        gate.asked |= needed
        if needed - gate.allowed:
            gate.refused |= needed - gate.allowed
            self._answer(403, [("Content-Type", "application/xml")], b"<Error><Code>AccessDenied</Code></Error>")
            return
        upstream = http.client.HTTPConnection("127.0.0.1", gate.upstream, timeout=60)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "expect":
                    upstream.putheader(name, value)
            upstream.endheaders(body)
            answer = upstream.getresponse()
            octets, told = answer.read(), answer.getheaders()
        finally:
            upstream.close()
        self._answer(answer.status, [pair for pair in told if self._may_see(pair[0])], octets)

    def _may_see(self, name: str) -> bool:
        """Locks are told only to who may ask for them."""
        hidden = name.lower().startswith(_LOCK_HEADERS)
        if hidden:
            self.owner.asked.add("s3:GetObjectRetention")
        return not hidden or "s3:GetObjectRetention" in self.owner.allowed

    def _answer(self, status: int, headers: list[tuple[str, str]], octets: bytes) -> None:
        self.send_response_only(status)
        told = {name.lower() for name, _ in headers}
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        if "content-length" not in told:
            self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(octets)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815  # http.server's names


@contextmanager
def gate(port: int, allowed: Collection[str]) -> Iterator[Gate]:
    """Stand before a server for the length of a test."""
    made = Gate(port, allowed)
    try:
        yield made
    finally:
        made.close()
