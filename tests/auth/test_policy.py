from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwen_code.auth.policy import check_endpoint, check_model, is_model_allowed
from qwen_code.base.errors import AuthError, ConfigError
from qwen_code.base.url import Origin
from qwen_code.config.settings import Layer, Settings


def settings(*trees: dict[str, Any], project: Path | None = None) -> Settings:
    return Settings(
        tuple(
            Layer(Path(f"/{n}.json"), json.dumps(tree).encode(), tree, project)
            for n, tree in enumerate(trees)
        )
    )


def endpoints(*patterns: str) -> dict[str, Any]:
    return {"security": {"allowedEndpoints": [*patterns]}}


@pytest.mark.parametrize(
    ("pattern", "url", "is_allowed"),
    [
        ("gateway.corp", "https://gateway.corp/v1", True),
        ("GATEWAY.corp", "http://gateway.corp:8080", True),
        ("*.corp", "https://a.b.corp", True),
        ("*.corp", "https://corp", False),
        ("*.corp", "https://evilcorp", False),
        ("gateway.corp", "https://gateway.corp.evil.com", False),
        ("https://gateway.corp", "https://gateway.corp/v1", True),
        ("https://gateway.corp/*", "https://gateway.corp/v1", True),
        ("https://gateway.corp/", "https://gateway.corp:443", True),
        ("https://gateway.corp", "http://gateway.corp", False),
        ("https://gateway.corp", "https://gateway.corp:8443", False),
        ("http://127.0.0.1:*", "http://127.0.0.1:11434", True),
        ("https://*.corp", "https://x.corp", True),
        ("https://*.corp", "https://evil.com", False),
        ("*", "https://anything", True),
        ("", "https://anything", False),
    ],
)
def test_endpoints(pattern: str, url: str, is_allowed: bool) -> None:
    found = settings(endpoints(pattern))
    if is_allowed:
        check_endpoint(found, Origin.of(url))
    else:
        with pytest.raises(AuthError, match="is not allowed by"):
            check_endpoint(found, Origin.of(url))


def test_every_file_restricts_and_a_project_does_not_count() -> None:
    both = settings(endpoints("a.corp", "b.corp"), endpoints("b.corp", "c.corp"))
    check_endpoint(both, Origin.of("https://b.corp"))
    for host in ("a.corp", "c.corp"):
        with pytest.raises(AuthError):
            check_endpoint(both, Origin.of(f"https://{host}"))
    check_endpoint(settings(endpoints(), project=Path("/p")), Origin.of("https://x"))
    with pytest.raises(AuthError, match="Allowed are: none"):
        try:
            check_endpoint(settings(endpoints()), Origin.of("https://x"))
        except AuthError as error:
            raise AuthError(f"{error.message} {error.hint}") from error


def test_models() -> None:
    found = settings({"model": {"allowed": ["qwen3-*", "local"]}})
    check_model(found, "qwen3-coder-plus")
    assert is_model_allowed(found, "local") and not is_model_allowed(found, "gpt-5")
    with pytest.raises(AuthError, match=r"gpt-5 is not allowed by model\.allowed in /0\.json:1"):
        check_model(found, "gpt-5")


@pytest.mark.parametrize("value", [5, [1], {"a": 1}])
def test_a_list_of_another_type(value: Any) -> None:
    with pytest.raises(ConfigError):
        check_endpoint(settings({"security": {"allowedEndpoints": value}}), Origin.of("https://x"))
