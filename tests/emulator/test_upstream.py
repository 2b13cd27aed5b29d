"""Another API behind the emulator: its key comes from a file, and is used for nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

FORM = {"content-type": "application/x-www-form-urlencoded"}
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
KEY = "sk-upstream-0123456789"


class Upstream:
    """An API that keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked.append((self.path, headers, body))
                answer = json.dumps({"model": "real", "choices": []}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    return path


def sign_in(emulator: Any, post: Any) -> str:
    code = json.loads(post(emulator, "/api/v1/oauth2/device/code", client_id="c")[1])
    fields = {"client_id": "c", "grant_type": DEVICE, "device_code": code["device_code"]}
    token: str = json.loads(post(emulator, "/api/v1/oauth2/token", **fields)[1])["access_token"]
    return token


def chat(emulator: Any, token: str, **headers: str) -> int:
    body = json.dumps({"model": "m", "messages": []}).encode()
    headers = {"authorization": f"Bearer {token}", **headers}
    status: int = emulator.send("POST", "/v1/chat/completions", body, headers)[0]
    return status


def test_the_key_of_a_file_goes_to_the_upstream_alone(
    emulate: Any, post: Any, upstream: Upstream, key_file: Path
) -> None:
    emulator = emulate(
        "--approve", "--upstream", upstream.base_url, "--upstream-key-file", str(key_file)
    )
    token = sign_in(emulator, post)
    assert chat(emulator, token) == 200
    ((path, headers, body),) = upstream.asked
    assert (path, headers["authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert body == {"model": "m", "messages": []}
    assert chat(emulator, token, host="evil.example") == 421
    assert chat(emulator, token, origin="http://evil.example") == 403
    assert chat(emulator, "at-unknown") == 401
    assert len(upstream.asked) == 1
    assert KEY not in json.dumps(emulator.log())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--upstream-key", KEY), "No such option"),
        (("--admin-key", KEY), "No such option"),
        (("--upstream-key-file", "KEY_FILE"), "--upstream-key-file needs --upstream"),
        (("--upstream", "https://me:pw@host/v1"), "has a user name or password"),
        (("--upstream", "https://host/v1", "--local"), "--local and --upstream contradict"),
        (("--password-file", "EMPTY"), "does not hold a secret"),
        (("--admin-key-file", "LINES"), "does not hold a secret"),
        (("--fault", "reset@nothing"), "reset does not affect 'nothing'"),
        (("--model", "large"), "--model needs --local"),
    ],
)
def test_wrong_options_are_refused_before_anything_listens(
    arguments: tuple[str, ...], said: str, tmp_path: Path, key_file: Path
) -> None:
    from click.testing import CliRunner

    from qwen_code.base.errors import UsageError
    from qwen_code.cli.emulator import emulator

    (tmp_path / "empty").write_text("\n")
    (tmp_path / "lines").write_text("one\ntwo\n")
    files = {"KEY_FILE": key_file, "EMPTY": tmp_path / "empty", "LINES": tmp_path / "lines"}
    done = CliRunner().invoke(emulator, [str(files.get(each, each)) for each in arguments])
    assert done.exit_code != 0
    error = done.exception
    assert said in (error.message if isinstance(error, UsageError) else done.output)
