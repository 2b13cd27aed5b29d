"""What the settings and the method make of a session, seen by a real request."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hanging_server import HangingServer, no_answer

from qwen_code.auth.bearer import StaticKey
from qwen_code.auth.types import Connection, Method
from qwen_code.base.errors import TransportError
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.config.load import Config
from qwen_code.config.settings import Settings
from qwen_code.config.values import Source, SourceKind
from qwen_code.models.quota import Go, Wait
from qwen_code.wiring.link import name_model, open_ledger, open_link


def connection(method: Method, profile: str | None = None) -> Connection:
    source = Source(SourceKind.LOGIN, "resource_url")
    return Connection(
        method,
        "https://issuer.example",
        "https://model.example/v1",
        source,
        "coder-model",
        credential=StaticKey(Secret("token-of-the-test")),
        profile=profile,
    )


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "home" / ".qwen" / "settings.json"
    path.parent.mkdir()
    return path


def load(cwd: Path, environ: Mapping[str, str] = os.environ) -> Config:
    return Config.load(environ, cwd)


def test_a_list_of_models_that_does_not_come_is_not_needed(tmp_path: Path, settings: Path) -> None:
    settings.write_text('{"model": {"timeoutS": 0.2}}')
    server = HangingServer(no_answer)
    source = Source(SourceKind.SHELL, "LLAMA_API_BASE_URL")
    unnamed = Connection(Method.OPENAI, "x", server.base_url, source, None)
    with open_link(load(tmp_path), unnamed) as link, pytest.raises(TransportError) as caught:
        name_model(link, Settings(), Stop())
    server.close()
    assert caught.value.message == f"{server.origin} did not answer within 0.2 s"
    assert "-m" in (caught.value.hint or "")
    assert server.requests == [b"GET /v1/models HTTP/1.1"]


def test_only_a_sign_in_is_counted(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert open_ledger(found, connection(Method.OPENAI)) is None
    assert open_ledger(found, connection(Method.LOCAL)) is None
    ledger = open_ledger(found, connection(Method.QWEN_OAUTH))
    assert ledger
    snapshot = ledger.snapshot()
    assert snapshot
    assert (snapshot.limit_minute, snapshot.limit_day) == (60, 2000)
    assert not found.paths.quota_file.exists()


def test_the_users_settings_change_the_limits_and_a_projects_do_not(
    tmp_path: Path, settings: Path
) -> None:
    settings.write_text('{"quota": {"perMinute": 1}}')
    project = tmp_path / "project" / ".qwen" / "settings.json"
    project.parent.mkdir(parents=True)
    project.write_text('{"quota": {"perMinute": 9, "perDay": 9}}')
    found = load(tmp_path / "project")
    ledger = open_ledger(found, connection(Method.QWEN_OAUTH))
    other = open_ledger(found, connection(Method.QWEN_OAUTH, "second"))
    assert ledger
    assert other
    assert isinstance(ledger.reserve("m"), Go)
    assert isinstance(ledger.reserve("m"), Wait)
    assert isinstance(other.reserve("m"), Go)
    snapshot = ledger.snapshot()
    assert snapshot
    assert snapshot.limit_day == 2000


@pytest.mark.parametrize("number", ["0", "-1", "true", '"60"', "1.5"])
def test_a_number_that_is_not_a_limit_does_not_count(
    tmp_path: Path, settings: Path, number: str
) -> None:
    settings.write_text(f'{{\n"quota": {{"perDay": {number}}}}}')
    config = load(tmp_path)
    ledger = open_ledger(config, connection(Method.QWEN_OAUTH))
    assert ledger and (snapshot := ledger.snapshot())
    assert snapshot.limit_day == 2000
    assert "settings.json:2 must be a whole number, 1 or more" in config.warnings[0]
