"""``qwen emulator`` in a separate process, and its administration."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any


class EmulatorProcess:
    """Runs until it is closed. Nothing here is shared with the code under test."""

    def __init__(self, environ: Mapping[str, str], *arguments: str) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "qwen_code.cli.main", "emulator"),
                *("--json", "--until-stdin-closes", *arguments),
            ],
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        told = json.loads(self._process.stdout.readline())
        self.base_url: str = told["base_url"]
        self.password: str = told["password"]
        self._admin_key: str = told["admin_key"]

    def close(self) -> None:
        """End it. Can be called more than once."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def log(self, path: str = "") -> list[dict[str, Any]]:
        """What was asked, oldest first; ``path`` is the end of the paths that are wanted."""
        entries = json.loads(self._admin("GET", "log"))
        return [entry for entry in entries if entry["path"].endswith(path)]

    def approve(self, user_code: str) -> None:
        self._admin("POST", "approve", user_code)

    def deny(self, user_code: str) -> None:
        self._admin("POST", "deny", user_code)

    def fault(self, spec: str) -> None:
        self._admin("POST", "faults", spec)

    def clear_faults(self) -> None:
        self._admin("DELETE", "faults")

    def revoke_access(self) -> None:
        self._admin("POST", "revoke-access")

    def use_up(self, requests: int) -> None:
        """Pretend that so many requests were made today."""
        self._admin("POST", "quota", str(requests))

    def _admin(self, method: str, what: str, body: str | None = None) -> bytes:
        headers = {"authorization": f"Bearer {self._admin_key}"}
        data = body.encode() if body is not None else None
        status, answer = self.send(method, f"/admin/{what}", data, headers)
        assert status == 200, answer
        return answer

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
        *,
        timeout_s: float = 10,
    ) -> tuple[int, bytes]:
        """Any request: status and body."""
        request = urllib.request.Request(
            self.base_url + path, data=body, method=method, headers=dict(headers)
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
        try:
            with opener.open(request, timeout=timeout_s) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        return None
