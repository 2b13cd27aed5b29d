"""What an address of Azure means, and tokens of its own library, which is a written one here."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from qwen_code.auth.azure import EntraToken, Surface, surface_of
from qwen_code.base.errors import AuthError, ConfigError
from qwen_code.base.stop import Stop, Stopped
from qwen_code.base.url import Origin
from qwen_code.config.load import Config

ORIGIN = Origin.of("https://r.openai.azure.com")
HOST = "https://r.openai.azure.com"
FOUNDRY = "https://r.services.ai.azure.com"
DATE = "2024-10-21"
DATED = f"?api-version={DATE}"


def surface(world: Any, address: str, **variables: str) -> Surface:
    config = Config.load({**world.env, **variables}, world.project)
    return surface_of(address, config.environment)


# -- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/v1", "/openai", "/openai/", "/openai/v1", "/openai/v1/"),
        *("/openai/v1/chat/completions", "/openai/v1/responses", "/openai/v1/models"),
        *("/openai/v1/embeddings", "/openai/models", "/openai/responses", "/openai/deployments"),
        *("/openai/deployments/", "/openai/deployments?api-version=", "/openai/responses?"),
    ],
)
def test_a_resource_is_asked_as_other_providers_are(world: Any, path: str) -> None:
    assert surface(world, f"{HOST}{path}") == Surface(f"{HOST}/openai/v1", {}, in_path=False)


@pytest.mark.parametrize("name", ["AZURE_OPENAI_API_VERSION", "OPENAI_API_VERSION"])
@pytest.mark.parametrize(
    "path",
    ["", "/", "/v1", "/openai", "/openai/deployments/", "/openai/models", "/openai/responses"],
)
def test_a_version_with_a_date_is_one_of_deployments(world: Any, path: str, name: str) -> None:
    wanted = Surface(HOST, {"api-version": DATE}, in_path=True)
    assert surface(world, f"{HOST}{path}", **{name: DATE}) == wanted
    assert surface(world, f"{HOST}{path}{DATED}") == wanted


@pytest.mark.parametrize("version", ["preview", "latest", "v1"])
@pytest.mark.parametrize(
    "path", ["", "/openai", "/openai/responses", "/openai/v1/responses", "/openai/v1/"]
)
def test_a_version_that_is_a_word_is_one_of_v1(world: Any, path: str, version: str) -> None:
    wanted = Surface(f"{HOST}/openai/v1", {"api-version": version}, in_path=False)
    assert surface(world, f"{HOST}{path}?api-version={version}") == wanted
    assert surface(world, f"{HOST}{path}", OPENAI_API_VERSION=version) == wanted


@pytest.mark.parametrize("path", ["/openai/v1", "/openai/v1/", "/openai/v1/chat/completions"])
def test_no_variable_leads_away_from_the_surface_in_the_address(world: Any, path: str) -> None:
    wanted = Surface(f"{HOST}/openai/v1", {}, in_path=False)
    assert surface(world, f"{HOST}{path}", AZURE_OPENAI_API_VERSION=DATE) == wanted


@pytest.mark.parametrize(
    "rest",
    [
        *("", "/", "/chat", "/chat/completions", "/chat/completions/", "/completions"),
        *("/embeddings", "/extensions/chat/completions", "/audio/speech"),
    ],
)
@pytest.mark.parametrize(
    ("written", "name"),
    [
        *(("mine", "mine"), ("my%20own", "my own"), ("gpt-4.1_x", "gpt-4.1_x")),
        *(("models", "models"), ("openai", "openai"), ("responses", "responses"), ("v1", "v1")),
    ],
)
def test_the_target_of_a_deployment(world: Any, written: str, name: str, rest: str) -> None:
    address = f"{HOST}/openai/deployments/{written}{rest}"
    wanted = Surface(HOST, {"api-version": DATE}, in_path=True, deployment=name)
    assert surface(world, f"{address}{DATED}") == wanted
    assert surface(world, f" {address}?API-Version={DATE} ") == wanted
    assert surface(world, address, OPENAI_API_VERSION=DATE) == wanted
    assert surface(world, f"{address}{DATED}", AZURE_OPENAI_API_VERSION="2023-05-15") == wanted
    plain = Surface(f"{HOST}/openai/v1", {}, in_path=False, deployment=name)
    assert surface(world, address) == plain


@pytest.mark.parametrize("path", ["/models", "/models/", "/models/chat/completions"])
def test_foundry_has_a_surface_for_all_its_models(world: Any, path: str) -> None:
    usual = {"api-version": "2024-05-01-preview"}
    assert surface(world, f"{FOUNDRY}{path}") == Surface(f"{FOUNDRY}/models", usual, in_path=False)
    found = surface(world, f"{FOUNDRY}{path}?api-version=2025-01-01", OPENAI_API_VERSION=DATE)
    assert found == Surface(f"{FOUNDRY}/models", {"api-version": "2025-01-01"}, in_path=False)


@pytest.mark.parametrize(
    "before",
    [f"{FOUNDRY}/api/projects/p", "https://openai.corp.example", f"{HOST}/openai", "http://g/ai"],
)
def test_what_comes_before_is_kept(world: Any, before: str) -> None:
    v1 = Surface(f"{before}/openai/v1", {}, in_path=False)
    assert surface(world, f"{before}/openai/v1/chat/completions") == v1
    found = surface(world, f"{before}/openai/deployments/mine{DATED}")
    assert found == Surface(before, {"api-version": DATE}, in_path=True, deployment="mine")


@pytest.mark.parametrize(
    "address",
    [
        f"{HOST}/openai/deployments/mine{DATED}&subscription-key=hunter22",
        f"{HOST}/openai/deployments/mine?hunter22",
        "https://user:hunter22@r.openai.azure.com/openai?a=b",
        f"{HOST}/openai/deployments/mine{DATED}#x",
        "r.openai.azure.com/openai",
    ],
)
def test_what_cannot_be_understood_is_an_error(world: Any, address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        surface(world, address)
    assert "hunter22" not in f"{caught.value.message} {caught.value.hint}"


# -- tokens ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "cloud"),
    [
        *(("r.openai.azure.com", "com"), ("r.services.ai.azure.com", "com")),
        *(("r.openai.azure.us", "us"), ("r.cognitiveservices.azure.cn", "cn")),
        ("azure.us.corp.example", "com"),
    ],
)
def test_each_cloud_has_its_own_tokens(library: Any, host: str, cloud: str) -> None:
    scopes = library(lambda: "the-token")
    EntraToken(Origin.of(f"https://{host}")).current(Stop())
    assert scopes == [f"https://cognitiveservices.azure.{cloud}/.default"]


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], str]], list[str]]:
    """Make the library give tokens; the list is of the scopes that it was asked for."""

    def make(give: Callable[[], str]) -> list[str]:
        scopes: list[str] = []

        def get_token(scope: str) -> Any:
            scopes.append(scope)
            return SimpleNamespace(token=give())

        identity: Any = ModuleType("azure.identity")
        identity.DefaultAzureCredential = lambda: SimpleNamespace(get_token=get_token)
        monkeypatch.setitem(sys.modules, "azure", ModuleType("azure"))
        monkeypatch.setitem(sys.modules, "azure.identity", identity)
        return scopes

    return make


def test_the_token_is_asked_for_each_time(library: Any) -> None:
    scopes = library(lambda: "the-token")
    source = EntraToken(ORIGIN)
    assert source.current(Stop()).reveal() == source.current(Stop()).reveal() == "the-token"
    assert scopes == ["https://cognitiveservices.azure.com/.default"] * 2


def test_a_refused_one_is_replaced_where_there_is_another(library: Any) -> None:
    tokens = iter(["a", "a", "b"])
    library(lambda: next(tokens))
    source = EntraToken(ORIGIN)
    first = source.current(Stop())
    assert not source.replace(first, Stop())
    assert source.replace(first, Stop())


def test_whatever_fails_names_the_way_out(library: Any) -> None:
    def fail() -> str:
        raise LookupError("a chain of sources")

    library(fail)
    with pytest.raises(AuthError) as caught:
        EntraToken(ORIGIN).current(Stop())
    assert "az login" in str(caught.value.hint)


def test_a_stop_does_not_wait_for_it(library: Any, release: threading.Event) -> None:
    stop = Stop()

    def give() -> str:
        stop.set()
        release.wait(60)
        return "too late"

    library(give)
    with pytest.raises(Stopped):
        EntraToken(ORIGIN).current(stop)
