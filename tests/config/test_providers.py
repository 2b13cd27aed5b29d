"""The provider table, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
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
    provider_of_key,
    regions_of,
)
from qwen_code.models.error_words import ErrorKind

ROWS = pytest.mark.parametrize("row", PROVIDERS, ids=lambda row: row.name)


@ROWS
def test_a_row_is_found_by_its_name_and_by_its_hosts(row: Provider) -> None:
    assert provider_named(row.name) is row
    for pattern in row.hosts:
        host = pattern.replace("*", "eu-central-1")
        assert provider_at(Origin.of(f"https://{host}/v1")) is row
        assert provider_at(Origin.of(f"https://sub.{host}/v1")) is row
        assert provider_at(Origin.of(f"https://{host}.evil.example/v1")) is CUSTOM
        assert not row.serves(Origin.of(f"https://evil{host}/v1"))


@ROWS
def test_an_address_is_one_of_the_hosts_over_https_or_on_this_machine(row: Provider) -> None:
    if row.base_url is None:
        return
    origin = Origin.of(row.base_url)
    if row.group == "servers":
        assert origin.is_loopback and not row.hosts and not row.key_names
        return
    assert origin.scheme == "https" and row.base_url == row.base_url.rstrip("/")
    # Two plans of one host differ in their paths; the host stands for the first.
    assert row.serves(origin) or provider_at(origin).family == row.family


@ROWS
def test_a_row_has_values_of_the_right_types(row: Provider) -> None:
    data = msgspec.to_builtins(row)
    assert msgspec.convert(data, Provider) == row
    assert set(data["wire"]["errors"].values()) <= set(get_args(ErrorKind))


@ROWS
def test_a_region_is_found_by_its_names_in_its_family(row: Provider) -> None:
    names = [name for each in regions_of(row) for name in each.region_names]
    assert len(set(names)) == len(names) and row in regions_of(row)
    assert bool(row.family) == bool(row.region) == bool(row.region_names)
    if row.family:
        assert provider_named(row.family) is regions_of(row)[0]
        assert len({each.title for each in regions_of(row)}) == 1


@ROWS
def test_what_can_be_chosen_says_where_its_keys_are_made(row: Provider) -> None:
    if row.is_offered and row.group != "servers":
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
    names = [name for row in PROVIDERS for name in (row.name, *row.aliases)]
    assert len(set(names)) == len(names) and names == [name.lower() for name in names]
    assert provider_named("no such provider") is None


def test_only_azure_has_another_header_and_deployments() -> None:
    others = [row for row in PROVIDERS if row is not AZURE]
    assert AZURE.header_style == "api-key" and not AZURE.lists_models
    assert all(row.header_style == "authorization" and row.lists_models for row in others)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("dashscope.aliyuncs.com", "bailian"),
        ("vpc.dashscope.aliyuncs.com", "bailian"),
        ("dashscope-intl.aliyuncs.com", "bailian-intl"),
        ("dashscope-us.aliyuncs.com", "bailian-us"),
        ("cn-hongkong.dashscope.aliyuncs.com", "bailian-hk"),
        ("coding.dashscope.aliyuncs.com", "coding-plan"),
        ("coding-intl.dashscope.aliyuncs.com", "coding-plan-intl"),
        ("token-plan.cn-beijing.maas.aliyuncs.com", "token-plan"),
        ("token-plan.ap-southeast-1.maas.aliyuncs.com", "token-plan-intl"),
        ("token-plan.eu-central-1.maas.aliyuncs.com", "token-plan-region"),
        ("llm-1.cn-beijing.maas.aliyuncs.com", "bailian-workspace"),
        ("token-plan.maas.aliyuncs.com", "bailian-workspace"),
        ("token-plan.cn-beijing.maas.aliyuncs.com.evil.example", "custom"),
        ("token-plan.evil.example", "custom"),
        ("aliyuncs.com", "custom"),
        ("us-east-1.api.x.ai", "xai"),
        ("api.x.ai.evil.example", "custom"),
        ("router.eu.requesty.ai", "requesty"),
        ("models.inference.ai.azure.com", "github-models"),
    ],
)
def test_the_closest_host_counts(host: str, name: str) -> None:
    assert provider_at(Origin.of(f"https://{host}/v1")).name == name


def test_no_variable_of_other_purposes_chooses_a_provider() -> None:
    shared = {name for row in PROVIDERS for name in row.shared_key_names}
    assert {"GITHUB_TOKEN", "GH_TOKEN"} <= shared
    assert not shared & KEY_NAMES
    assert all(provider_of_key(name) is None and looks_like_key(name) for name in shared)


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


@ROWS
def test_the_page_of_providers_has_it_with_its_variables_and_address(row: Provider) -> None:
    page = (Path(__file__).parents[2] / "docs" / "providers.md").read_text("utf-8")
    lines = [line for line in page.splitlines() if line.startswith(f"| `{row.name}` |")]
    assert len(lines) == (1 if row.base_url or row.name == "azure" else 0)
    for line in lines:
        names = (*row.key_names, *row.shared_key_names, *row.address_names)
        assert all(f"`{name}`" in line for name in names)
        assert row.base_url is None or f"`{row.base_url}`" in line
