"""An authorization server of the tests' own, on loopback, that rotates and detects reuse.

It shares nothing with the code under test. What it saw is in ``log``; how it answers is changed by
its attributes while it runs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit


class Entry(NamedTuple):
    """One request: when (monotonic seconds), where, its form, and what came of it."""

    at: float
    path: str
    form: dict[str, str]
    headers: dict[str, str]
    outcome: str


class FakeAuthorizationServer:
    """Device flow, refresh with rotation, revocation, and a model behind the token."""

    def __init__(self) -> None:
        self.log: list[Entry] = []
        self.lifetime: object = 3600
        self.interval: object = 1
        self.code_lifetime: object = 60
        self.refresh_delay_s = 0.0
        self.resource_url: str | None = None
        self.gives_refresh_token = True
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        """Answers that come before any other, in order, to requests of the token endpoint."""
        self.device_answers: list[tuple[int, dict[str, str], bytes]] = []
        self.on_refresh: Callable[[], object] = lambda: None
        self.on_grant: Callable[[], object] = lambda: None
        """Called once a code is used, before its tokens are sent."""
        self.metadata_status = 200
        self.revoke_status = 200
        self.resource: str | None = None
        """The resource that its metadata document is about (RFC 9728)."""
        self.registers = True
        self.has_device_grant = True
        self.drops_answers = 0
        """How many refreshes are done and then not answered."""
        self.approved: set[str] = set()
        self.chats: list[dict[str, Any]] = []
        """The bodies of the requests to the model."""
        self._lock = threading.Lock()
        self._codes: dict[str, dict[str, str]] = {}
        self._refresh: dict[str, int] = {}
        self._used: set[str] = set()
        self._access: dict[str, int] = {}
        self._dead_families: set[int] = set()
        self._families = 0
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    # -- for tests --------------------------------------------------------------------------------

    def issue(self) -> dict[str, Any]:
        """A token answer of a new sign-in, as if a person had approved it."""
        with self._lock:
            self._families += 1
            return self._grant(self._families)

    def approve(self, user_code: str) -> None:
        self.approved.add(user_code)

    def approve_all(self) -> bool:
        """Approve the sign-ins that have begun; whether there are any."""
        with self._lock:
            codes = [each["user_code"] for each in self._codes.values()]
        self.approved.update(codes)
        return bool(codes)

    def revoke_access_tokens(self) -> None:
        with self._lock:
            self._access.clear()

    def is_good(self, access_token: str) -> bool:
        with self._lock:
            family = self._access.get(access_token)
            return family is not None and family not in self._dead_families

    def entries(self, kind: str) -> list[Entry]:
        """Requests of one kind: ``device``, ``poll``, ``refresh``, ``revoke``, ``chat``."""
        return [entry for entry in self.log if entry.outcome.startswith(kind)]

    @property
    def reuses(self) -> int:
        """How often a refresh token came a second time."""
        return len([e for e in self.log if e.outcome == "refresh: reused"])

    # -- the server -------------------------------------------------------------------------------

    def _grant(self, family: int) -> dict[str, Any]:
        access, refresh = f"at-{secrets.token_hex(16)}", f"rt-{secrets.token_hex(16)}"
        self._access[access] = family
        answer: dict[str, Any] = {"access_token": access, "token_type": "Bearer"}
        if self.gives_refresh_token:
            self._refresh[refresh] = family
            answer["refresh_token"] = refresh
        if self.lifetime is not None:
            answer["expires_in"] = self.lifetime
        answer["resource_url"] = self.resource_url or f"{self.base_url}/v1"
        return answer

    def device(self, form: dict[str, str]) -> tuple[str, int, Any]:
        user_code = f"{secrets.token_hex(2)}-{secrets.token_hex(2)}".upper()
        device_code = secrets.token_urlsafe(24)
        with self._lock:
            self._codes[device_code] = {**form, "user_code": user_code}
        answer = {
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": f"{self.base_url}/authorize",
            "verification_uri_complete": f"{self.base_url}/authorize?user_code={user_code}",
            "expires_in": self.code_lifetime,
            "interval": self.interval,
        }
        return "device", 200, {k: v for k, v in answer.items() if v is not None}

    def poll(self, form: dict[str, str]) -> tuple[str, int, Any]:
        with self._lock:
            code = self._codes.get(form.get("device_code", ""))
            if code is None or code["client_id"] != form.get("client_id"):
                return "poll: unknown", 401, {"error": "invalid_code"}
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            if challenge != code["code_challenge"]:
                return "poll: verifier", 400, {"error": "invalid_grant"}
            if code["user_code"] not in self.approved:
                return "poll: pending", 400, {"error": "authorization_pending"}
            del self._codes[form["device_code"]]
            self._families += 1
            family = self._families
        self.log.append(Entry(time.monotonic(), "", form, {}, "poll: granting"))
        self.on_grant()
        with self._lock:
            return "poll: granted", 200, self._grant(family)

    def refresh(self, form: dict[str, str]) -> tuple[str, int, Any]:
        token = form.get("refresh_token", "")
        with self._lock:
            family = self._refresh.get(token)
            if family is None or family in self._dead_families:
                return "refresh: invalid", 400, {"error": "invalid_grant"}
            if token in self._used:
                self._dead_families.add(family)
                return "refresh: reused", 400, {"error": "invalid_grant"}
            self._used.add(token)
        self.on_refresh()
        time.sleep(self.refresh_delay_s)
        with self._lock:
            if self.drops_answers:
                self.drops_answers -= 1
                self._grant(family)
                return "refresh: dropped", 0, {}
            return "refresh: granted", 200, self._grant(family)

    def revoke(self, form: dict[str, str]) -> tuple[str, int, Any]:
        with self._lock:
            token = form.get("token", "")
            family = self._refresh.get(token) or self._access.get(token)
            if family is not None:
                self._dead_families.add(family)
        return "revoke", self.revoke_status, {}

    def chat(self, authorization: str) -> tuple[str, int, Any]:
        if not self.is_good(authorization.removeprefix("Bearer ")):
            return "chat: 401", 401, {"error": {"message": "invalid access token"}}
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}}
        return "chat: 200", 200, {"choices": [{**choice, "finish_reason": "stop"}], "model": "m"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def _handler(server: FakeAuthorizationServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None: ...

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path.endswith("/models"):
                self._send("models", 200, {"data": [{"id": "m"}]}, {})
            elif path == "/.well-known/oauth-authorization-server":
                base = server.base_url
                metadata = {
                    "issuer": base,
                    "device_authorization_endpoint": f"{base}/api/v1/oauth2/device/code",
                    "token_endpoint": f"{base}/api/v1/oauth2/token",
                    "revocation_endpoint": f"{base}/api/v1/oauth2/revoke",
                }
                if server.registers:
                    metadata["registration_endpoint"] = f"{base}/register"
                if not server.has_device_grant:
                    del metadata["device_authorization_endpoint"]
                self._send("metadata", server.metadata_status, metadata, {})
            elif path == "/.well-known/oauth-protected-resource" and server.resource:
                about = {"resource": server.resource, "authorization_servers": [server.base_url]}
                self._send("resource", 200, about, {})
            else:
                self._send("unknown", 404, {}, {})

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length).decode()
            path = urlsplit(self.path).path
            form = {key: values[0] for key, values in parse_qs(body).items()}
            if path.endswith("/chat/completions"):
                server.chats.append(json.loads(body))
                self._send(*server.chat(self.headers.get("authorization", "")), {})
            elif path.endswith("/register"):
                client = {"client_id": "registered", **json.loads(body)}
                self._send("register", 201 if server.registers else 403, client, {"body": body})
            elif path.endswith("/device/code"):
                if server.device_answers:
                    self._scripted("device: scripted", server.device_answers.pop(0), form)
                else:
                    self._send(*server.device(form), form)
            elif path.endswith("/token"):
                kind = "refresh" if form.get("grant_type") == "refresh_token" else "poll"
                if server.answers:
                    self._scripted(f"{kind}: scripted", server.answers.pop(0), form)
                elif kind == "refresh":
                    self._send(*server.refresh(form), form)
                else:
                    self._send(*server.poll(form), form)
            elif path.endswith("/revoke"):
                self._send(*server.revoke(form), form)
            else:
                self._send("unknown", 404, {}, form)

        def _scripted(
            self, outcome: str, answer: tuple[int, dict[str, str], bytes], form: dict[str, str]
        ) -> None:
            status, headers, body = answer
            self._note(outcome, form)
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def _send(self, outcome: str, status: int, answer: Any, form: dict[str, str]) -> None:
            body = json.dumps(answer).encode()
            self._scripted(outcome, (status, {"content-type": "application/json"}, body), form)

        def _note(self, outcome: str, form: dict[str, str]) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.log.append(Entry(time.monotonic(), self.path, form, headers, outcome))

        def handle(self) -> None:
            try:
                super().handle()
            except (ConnectionError, TimeoutError):
                pass

    return Handler
