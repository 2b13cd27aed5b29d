from __future__ import annotations

from pathlib import Path

import msgspec

from qwen_code.auth.resolver import resolve
from qwen_code.auth.types import Resolution
from qwen_code.wiring.launch import Launch
from qwen_code.wiring.reports.explain import explain_data, explain_in_words

KEY = "sk-report-0123456789abcdef"


def resolution(tmp_path: Path, **environ: str) -> Resolution:
    launch = Launch(cwd=tmp_path, environ={"HOME": str(tmp_path / "home"), **environ})
    return resolve(launch.load(lambda _: None).inputs)


def connected(tmp_path: Path) -> Resolution:
    return resolution(
        tmp_path,
        LLAMA_API_KEY=KEY,
        LLAMA_API_BASE_URL="https://host.example/v1",
        LLAMA_API_MODEL="m",
    )


def test_every_field_and_the_result_in_words(tmp_path: Path) -> None:
    said = explain_in_words(connected(tmp_path))
    assert said.endswith("Result: openai · https://host.example/v1 · m")
    for field in ("method", "base_url", "api_key", "model"):
        assert f"\n{field}\n" in f"\n{said}\n"
    assert "LLAMA_API_KEY" in said


def test_it_is_painted_by_the_front_and_not_here(tmp_path: Path) -> None:
    found = connected(tmp_path)
    assert "\x1b" not in explain_in_words(found)
    assert "<32>" in explain_in_words(found, lambda text, code: f"<{code}>{text}")


def test_the_same_as_data(tmp_path: Path) -> None:
    data = msgspec.json.decode(msgspec.json.encode(explain_data(connected(tmp_path))))
    assert data["connection"]["base_url"] == "https://host.example/v1"
    assert data["error"] is None
    chosen = [c for f in data["fields"] for c in f["candidates"] if c["status"] == "chosen"]
    assert "LLAMA_API_KEY" in [candidate["name"] for candidate in chosen]


def test_without_a_connection_it_says_why(tmp_path: Path) -> None:
    found = resolution(tmp_path, LLAMA_API_BASE_URL="https://host.example/v1")
    assert "No connection: " in explain_in_words(found)
    data = explain_data(found)
    assert data["connection"] is None
    assert data["error"]


def test_no_form_has_the_key(tmp_path: Path) -> None:
    found = connected(tmp_path)
    assert KEY not in explain_in_words(found)
    assert KEY.encode() not in msgspec.json.encode(explain_data(found))
