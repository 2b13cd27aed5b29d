"""Model servers written by others, each in a process: aimock, LiteLLM, and llama.cpp.

What the first two answer is in ``tests/model_servers``; llama.cpp serves the embedded model.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from waiting import until

_ROOT = Path(__file__).parents[2]
_DIRECTORY = _ROOT / "tests" / "model_servers"

# Looked up before any test gets its empty home.
_AIMOCK = Path(
    os.environ.get("QWEN_TEST_AIMOCK") or _DIRECTORY / "node_modules" / "@copilotkit" / "aimock"
).absolute()
_LITELLM = Path(
    os.environ.get("QWEN_TEST_LITELLM") or _ROOT / ".venv-litellm" / "bin" / "litellm"
).absolute()
_MODELS_DIR = Path(
    os.environ.get("QWEN_TEST_MODELS_DIR") or Path.home() / ".cache" / "qwen-test" / "models"
).absolute()

_NOWHERE = "http://127.0.0.1:9"
"""Nothing listens on the discard port."""

_ADDRESS = re.compile(r"(?:listening on |running on |OPENAI_BASE_URL=)(http://127\.0\.0\.1:\d+)")
_START_S = 60.0
"""LiteLLM imports for many seconds on a busy machine."""

_ON_THIS_MACHINE = {
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), _NOWHERE),
    "no_proxy": "127.0.0.1",
}
_LITELLM_STAYS_OFFLINE = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "LITELLM_TELEMETRY_DISABLED": "True",
    "LITELLM_MODE": "PRODUCTION",  # otherwise it reads the .env of this directory and its parents
}


class Endpoint(NamedTuple):
    """Where a server answers, and the key that it accepts."""

    base_url: str
    key: str


class ServerProcess:
    """A server that logs its address; it runs until it is closed.

    Raises:
        RuntimeError: it ended before it listened.
    """

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], home: Path, cwd: Path
    ) -> None:
        self._log = home / "log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=cwd,
                env={"PATH": os.environ["PATH"], "HOME": str(home), **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            self.address = until(self._address, _START_S)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ask it to end, and kill it if it does not."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _address(self) -> str:
        has_ended = self._process.poll() is not None
        text = self._log.read_text("utf-8", "replace")
        if found := _ADDRESS.search(text):
            return found[1]
        if has_ended:
            raise RuntimeError(text)
        return ""


class ThirdPartyServers:
    """Starts each server when it is first asked for. ``directory`` is for homes and logs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: list[ServerProcess] = []

    @cached_property
    def aimock(self) -> Endpoint:
        """aimock with the answers of ``answers.json``, chosen by the model's name."""
        key = "sk-aimock-0123456789"
        # The CommonJS build also runs on Node 18, which Debian 12 has; the other one does not.
        program = str(_AIMOCK / "dist" / "aimock-cli.cjs")
        environ = {**_ON_THIS_MACHINE, "AIMOCK_API_KEYS": key}
        command = ["node", program, "--config", "aimock.json"]
        return self._start("aimock", command, environ, key, cwd=_DIRECTORY)

    @cached_property
    def litellm(self) -> Endpoint:
        """LiteLLM's proxy as ``litellm.yaml`` sets it up, in front of aimock if that is there."""
        key = "sk-litellm-0123456789"
        behind = self.aimock if has_aimock() else Endpoint(f"{_NOWHERE}/v1", "none")
        environ = {
            **_ON_THIS_MACHINE,
            **_LITELLM_STAYS_OFFLINE,
            "LITELLM_MASTER_KEY": key,
            "AIMOCK_URL": behind.base_url,
            "AIMOCK_KEY": behind.key,
        }
        config = str(_DIRECTORY / "litellm.yaml")
        options = ["--config", config, "--host", "127.0.0.1", "--port", "0"]
        return self._start("litellm", [str(_LITELLM), *options], environ, key)

    @cached_property
    def llama(self) -> Endpoint:
        """llama.cpp's server with the embedded model, as ``qwen local serve`` starts it."""
        key = "local-0123456789abcdef"
        home = self._directory / "llama"
        (home / ".qwen").mkdir(parents=True)
        (home / ".qwen" / "models").symlink_to(_MODELS_DIR)
        (home / "key").write_text(key)
        (home / "key").chmod(0o600)
        program = [sys.executable, "-P", "-m", "qwen_code.cli.main"]
        options = ["local", "serve", "--key-file", str(home / "key")]
        environ = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        return self._start("llama", [*program, *options], environ, key)

    def close(self) -> None:
        """End all of them."""
        for each in reversed(self._running):
            each.close()

    def _start(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        key: str,
        cwd: Path | None = None,
    ) -> Endpoint:
        home = self._directory / name
        home.mkdir(exist_ok=True)
        self._running.append(ServerProcess(command, environ, home, cwd or home))
        return Endpoint(f"{self._running[-1].address}/v1", key)


def has_aimock() -> bool:
    """Whether aimock and Node are installed."""
    return (_AIMOCK / "package.json").is_file() and shutil.which("node") is not None


def has_litellm() -> bool:
    """Whether LiteLLM's command is there."""
    return os.access(_LITELLM, os.X_OK)


def has_llama() -> bool:
    """Whether the library and the embedded model's weights are there."""
    return find_spec("xllamacpp") is not None and any(_MODELS_DIR.glob("*.gguf"))
