"""Who gives access tokens, and who says whether one is good: small servers built from the documented protocols.

Neither Microsoft nor Google can be asked here. Client credentials: RFC 6749 §4.4 and Microsoft's "client credentials
flow" page; the JWT grant of service accounts: RFC 7523 and Google's "OAuth 2.0 for server to server applications";
introspection: RFC 7662, as Dovecot's oauth2 passdb asks for it.
"""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.secret import keep_secret, new_secret
from tests.servers.certificate import Certificate, make_certificate

APP = "any"


@dataclass
class TokenServer:
    """Gives tokens to an application and to a service account, and tells Dovecot whose they are."""

    directory: Path
    client_secret: str = field(default_factory=new_secret, repr=False)
    good: dict[str, str] = field(default_factory=dict, repr=False)
    lives: int = 3600
    given: int = 0
    delegated: bool = True

    def __post_init__(self) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        self.certificate: Certificate = make_certificate(self.directory)
        self.http, self.https = self._serve(tls=False), self._serve(tls=True)

    def _serve(self, *, tls: bool) -> ThreadingHTTPServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                self._answer(200, outer.discovery(self.path))

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                asked = {k: v[0] for k, v in parse_qs(self.rfile.read(length).decode()).items()}
                self._answer(*outer.post(self.path, asked))

            def _answer(self, code: int, document: dict[str, Any]) -> None:
                octets = json.dumps(document).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(octets)))
                self.end_headers()
                self.wfile.write(octets)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate.certificate, self.certificate.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    @property
    def authority(self) -> str:
        return f"https://127.0.0.1:{self.https.server_port}"

    def discovery(self, path: str) -> dict[str, Any]:
        """OpenID Connect Discovery §4: where the endpoints are."""
        tenant = path.split("/")[1]
        base = f"{self.authority}/{tenant}/oauth2/v2.0"
        return {
            "issuer": f"{self.authority}/{tenant}/v2.0",
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/token",
        }

    def post(self, path: str, asked: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Answer for a token, or about one."""
        if path == "/introspect":
            user = self.good.get(asked.get("token", ""))
            return 200, {"active": "true" if user else "false", "username": user or APP}
        if path == "/google":
            return self._to_service_account(asked)
        if asked.get("client_secret") != self.client_secret:
            said = "AADSTS7000215: Invalid client secret provided."
            return 401, {"error": "invalid_client", "error_description": said}
        return 200, self._token(APP)

    def _to_service_account(self, asked: dict[str, str]) -> tuple[int, dict[str, Any]]:
        head, body, signature = asked["assertion"].split(".")
        public = self.key.public_key()
        public.verify(_decoded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
        claims = json.loads(_decoded(body))
        assert claims["scope"] == "https://mail.google.com/"
        if not self.delegated:
            said = "Client is unauthorized to retrieve access tokens using this method."
            return 401, {"error": "unauthorized_client", "error_description": said}
        return 200, self._token(claims["sub"])

    def _token(self, user: str) -> dict[str, Any]:
        token = keep_secret(secrets.token_urlsafe(40))
        self.good[token] = user
        self.given += 1
        return {"token_type": "Bearer", "expires_in": self.lives, "access_token": token}

    def revoke(self) -> None:
        """Have no token given so far be good any more."""
        self.good.clear()

    def google_key(self) -> Path:
        """Write the service account's key file, as Google's console gives it."""
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = self.directory / "google.json"
        document = {
            "type": "service_account",
            "project_id": "test",
            "private_key_id": "1",
            "private_key": pem.decode(),
            "client_email": "restante@test.invalid",
            "client_id": "1",
            "token_uri": f"http://127.0.0.1:{self.http.server_port}/google",
        }
        file.write_text(json.dumps(document))
        return file

    def dovecot(self, *, any_user: bool) -> str:
        """Return configuration that has Dovecot ask about tokens; an application's token is good for any user."""
        file = self.directory / f"oauth2-{any_user}.conf"
        lines = [
            f"introspection_url = http://127.0.0.1:{self.http.server_port}/introspect",
            "introspection_mode = post",
            "username_attribute = username",
            "active_attribute = active",
            "active_value = true",
        ]
        file.write_text("\n".join([*lines, "username_format = any" if any_user else ""]) + "\n")
        return (
            "auth_mechanisms = $auth_mechanisms xoauth2 oauthbearer\n"
            f"passdb {{\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = {file}\n}}\n"
        )

    def close(self) -> None:
        """Stop."""
        for server in (self.http, self.https):
            server.shutdown()
            server.server_close()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@contextmanager
def token_server(directory: Path) -> Iterator[TokenServer]:
    """Run the servers for the length of a test."""
    server = TokenServer(directory)
    try:
        yield server
    finally:
        server.close()
