from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sign_ins import store_sign_in

from qwen_code.auth.resolver import Inputs, resolve
from qwen_code.auth.types import Resolution
from qwen_code.config.load import Config
from qwen_code.wiring.launch import Launch
from qwen_code.wiring.reports.status import ended, quota_of, status_data, status_in_words

Found = tuple[Config, Inputs, Resolution]

KEY = "sk-report-0123456789abcdef"


def read(tmp_path: Path, **environ: str) -> Found:
    launch = Launch(cwd=tmp_path, environ={"HOME": str(tmp_path / "home"), **environ})
    config = launch.config(lambda _: None)
    inputs = launch.inputs(config, lambda _: None)
    return config, inputs, resolve(inputs)


def by_key(tmp_path: Path) -> Found:
    return read(
        tmp_path,
        LLAMA_API_KEY=KEY,
        LLAMA_API_BASE_URL="https://host.example/v1",
        LLAMA_API_MODEL="m",
    )


def by_sign_in(tmp_path: Path, expires_in_s: float, **more: Any) -> Found:
    home = tmp_path / "home"
    store_sign_in(home, "http://127.0.0.1:9/v1", expires_in_s=expires_in_s, **more)
    return read(tmp_path, QWEN_OAUTH_BASE_URL="http://127.0.0.1:9", LLAMA_API_MODEL="m")


def words(config: Config, inputs: Inputs, resolution: Resolution) -> dict[str, str]:
    """The rows, by their names."""
    lines = status_in_words(config, inputs, resolution.require()).splitlines()
    return {name: text.strip() for name, _, text in (line.partition(":") for line in lines)}


def test_a_key(tmp_path: Path) -> None:
    rows = words(*by_key(tmp_path))
    assert rows["Method"] == "openai"
    assert rows["Endpoint"].startswith("https://host.example/v1  (")
    assert "LLAMA_API_KEY" in rows["Key"]
    assert rows["Kept in"] == "the environment of this shell"
    assert KEY not in "".join(rows.values())


@pytest.mark.parametrize(
    ("expires_in_s", "more", "said"),
    [
        (100, {}, "valid for 2 min, renews itself"),
        (4 * 3600 + 60, {}, "valid for 4 h, renews itself"),
        (5 * 86400, {}, "valid for 5 days, renews itself"),
        (-60, {}, "expired, renews itself"),
        (-60, {"refresh_token": None}, "expired, cannot be renewed"),
        (0, {"expiry_date": None}, "valid until the server rejects it, renews itself"),
    ],
)
def test_a_sign_in(tmp_path: Path, expires_in_s: float, more: dict[str, Any], said: str) -> None:
    rows = words(*by_sign_in(tmp_path, expires_in_s, **more))
    assert rows["Token"] == said
    assert rows["Kept in"].endswith("oauth_creds.json, as plain text")
    assert "Quota" in rows
    assert "Key" not in rows


def test_the_same_as_data(tmp_path: Path) -> None:
    data = msgspec.json.decode(msgspec.json.encode(status_data(*by_sign_in(tmp_path, 3600)[1:])))
    assert data["signed_in"]
    assert data["method"] == "qwen-oauth"
    assert 3500 < data["expires_at"] - time.time() < 3700
    assert data["store"].endswith("oauth_creds.json")
    assert "access-0123456789" not in json.dumps(data)


def test_without_a_connection(tmp_path: Path) -> None:
    config, inputs, resolution = read(tmp_path, LLAMA_API_BASE_URL="https://host.example/v1")
    assert status_data(inputs, resolution) == {"signed_in": False}
    assert quota_of(config, None) is None
    assert ended(inputs, resolution) is None


def test_only_a_sign_in_that_is_refused_and_past_its_end_has_ended(tmp_path: Path) -> None:
    config, inputs, resolution = by_sign_in(tmp_path, -60)
    assert ended(inputs, resolution) is None
    sign_in = inputs.sign_in
    assert sign_in is not None
    assert sign_in.token is not None
    with sign_in.store.exclusive(5.0):
        sign_in.store.refuse(sign_in.token.version, "invalid_grant")
    found = ended(inputs, resolution)
    assert found is not None
    assert "qwen auth login" in words(config, inputs, resolution)["Token"]
