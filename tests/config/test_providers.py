"""The provider table, row by row."""

from __future__ import annotations

import pytest

from qwen_code.base.url import Origin
from qwen_code.config.providers import (
    AZURE,
    CUSTOM,
    KEY_NAMES,
    PROVIDERS,
    Provider,
    looks_like_key,
    provider_at,
    provider_named,
)

ROWS = pytest.mark.parametrize("row", PROVIDERS, ids=lambda row: row.name)


@ROWS
def test_a_row_is_found_by_its_name_and_by_its_hosts(row: Provider) -> None:
    assert provider_named(row.name) is row
    for host in row.hosts:
        assert provider_at(Origin.of(f"https://{host}/v1")) is row
        assert provider_at(Origin.of(f"https://sub.{host}/v1")) is row
        assert provider_at(Origin.of(f"https://{host}.evil.example/v1")) is CUSTOM
        assert provider_at(Origin.of(f"https://evil{host}/v1")) is CUSTOM


@ROWS
def test_a_row_with_an_address_serves_it_over_https(row: Provider) -> None:
    if row.base_url is not None:
        origin = Origin.of(row.base_url)
        assert origin.scheme == "https" and row.serves(origin)


@ROWS
def test_what_can_be_chosen_says_where_its_keys_are_made(row: Provider) -> None:
    if row.is_offered and row is not CUSTOM:
        assert row.key_names and row.key_page and row.key_page.startswith("https://")


@ROWS
def test_its_variables_are_kept_out_of_children(row: Provider) -> None:
    assert set(row.key_names) <= KEY_NAMES
    assert all(name == name.upper() for name in row.key_names)


@ROWS
def test_its_headers_are_lower_case_and_filled_in(row: Provider) -> None:
    for name, text in row.headers_for("1.2", "openai").items():
        assert name == name.lower() and "{" not in text and name != "authorization"


def test_names_are_unique() -> None:
    names = [row.name for row in PROVIDERS]
    assert len(set(names)) == len(names)
    assert provider_named("no such provider") is None


def test_only_azure_has_another_header_and_deployments() -> None:
    others = [row for row in PROVIDERS if row is not AZURE]
    assert AZURE.header_style == "api-key" and not AZURE.lists_models
    assert all(row.header_style == "authorization" and row.lists_models for row in others)


@pytest.mark.parametrize(
    "name",
    [
        *("X_API_KEY", "x_apikey", "GITHUB_TOKEN", "TOKEN", "A_SECRET", "AWS_SECRET_ACCESS_KEY"),
        *("DB_PASSWORD", "PASSWORD", "KEY_PASSPHRASE", "GOOGLE_APPLICATION_CREDENTIALS"),
    ],
)
def test_names_of_keys(name: str) -> None:
    assert looks_like_key(name)


@pytest.mark.parametrize("name", ["PATH", "TOKENIZERS_PARALLELISM", "KEY", "SECRETARY", "AKEY", ""])
def test_names_of_other_things(name: str) -> None:
    assert not looks_like_key(name)
