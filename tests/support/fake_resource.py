"""A protected resource with its own authorization server, on loopback, which can misbehave.

It shares nothing with the code under test. ``log`` has the requests; the attributes change what it
answers while it runs. Codes and refresh tokens are good once, and bound to what they were asked for.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit


class FakeResource:
    """An MCP server that always answers 401, and the server that signs in for it."""

    def __init__(self) -> None:
        self.log: list[tuple[str, dict[str, Any]]] = []
        """Path and form or query of each request."""
        self.challenge_scope = "read"
        self.prm: dict[str, Any] = {}
        """Replaces fields of the resource's metadata."""
        self.metadata: dict[str, Any] = {}
        """Replaces fields of the authorization server's metadata; ``None`` removes one."""
        self.registration: dict[str, Any] = {}
        self.answer: dict[str, str | None] = {}
        """Replaces parameters of the authorization response; ``None`` removes one."""
        self.token_answer: tuple[int, bytes] | None = None
        self.codes: dict[str, dict[str, str]] = {}
        self.secrets: dict[str, str] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{self.base}/mcp"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def seen(self, path: str) -> list[dict[str, Any]]:
        """The forms or queries of the requests for ``path``."""
        return [fields for place, fields in self.log if place == path]

    def document(self, path: str) -> tuple[int, Any]:
        if path == "/.well-known/oauth-protected-resource/mcp":
            return 200, {"resource": self.url, "authorization_servers": [self.base], **self.prm}
        if path == "/.well-known/oauth-authorization-server":
            found = {
                "issuer": self.base,
                "authorization_endpoint": f"{self.base}/authorize",
                "token_endpoint": f"{self.base}/token",
                "registration_endpoint": f"{self.base}/register",
                "revocation_endpoint": f"{self.base}/revoke",
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
                "authorization_response_iss_parameter_supported": True,
                **self.metadata,
            }
            return 200, {key: value for key, value in found.items() if value is not None}
        return 404, {}

    def authorize(self, query: dict[str, str]) -> str:
        """Approve at once; where the browser is sent to."""
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        answer = {"code": code, "state": query["state"], "iss": self.base, **self.answer}
        kept = {key: value for key, value in answer.items() if value is not None}
        return f"{query['redirect_uri']}?{urlencode(kept)}"

    def token(self, form: dict[str, str]) -> tuple[int, Any]:
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None:
            return 400, {"error": "invalid_grant", "error_description": "unknown or used code"}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        same = all(form[key] == asked[key] for key in ("redirect_uri", "resource"))
        if challenge != asked["code_challenge"] or not same:
            return 400, {"error": "invalid_grant"}
        token = {"access_token": f"at-{secrets.token_hex(8)}", "token_type": "Bearer"}
        return 200, {**token, "refresh_token": "rt-1", "expires_in": 3600}


def _handler(server: FakeResource) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            server.log.append((parts.path, query))
            if parts.path == "/authorize":
                self._send(302, {}, {"location": server.authorize(query)})
            else:
                self._send(*server.document(parts.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            path = urlsplit(self.path).path
            if path == "/mcp":
                prm = f"{server.base}/.well-known/oauth-protected-resource/mcp"
                scope = f', scope="{server.challenge_scope}"' if server.challenge_scope else ""
                header = f'Bearer resource_metadata="{prm}"{scope}'
                server.log.append((path, {}))
                self._send(401, {}, {"www-authenticate": header})
                return
            if path == "/register":
                wish = json.loads(body)
                server.log.append((path, wish))
                self._send(201, {"client_id": "registered", **wish, **server.registration})
                return
            form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
            server.log.append((path, {**form, "basic": self.headers.get("authorization", "")}))
            if path == "/token" and server.token_answer is not None:
                self._send(*server.token_answer)
            elif path == "/token":
                self._send(*server.token(form))
            else:
                self._send(200 if path == "/revoke" else 404, {})

        def _send(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            kind = {"content-type": "application/json", "content-length": str(len(body))}
            for name, value in {**kind, **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            try:
                super().handle()
            except (ConnectionError, TimeoutError):
                pass

    return Handler
