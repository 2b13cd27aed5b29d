"""Tokens of Azure's own library, which is a written one here."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from qwen_code.auth.azure import EntraToken
from qwen_code.base.errors import AuthError
from qwen_code.base.stop import Stop, Stopped


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
    source = EntraToken()
    assert source.current(Stop()).reveal() == source.current(Stop()).reveal() == "the-token"
    assert scopes == ["https://cognitiveservices.azure.com/.default"] * 2


def test_a_refused_one_is_replaced_where_there_is_another(library: Any) -> None:
    tokens = iter(["a", "a", "b"])
    library(lambda: next(tokens))
    source = EntraToken()
    first = source.current(Stop())
    assert not source.replace(first, Stop())
    assert source.replace(first, Stop())


def test_whatever_fails_names_the_way_out(library: Any) -> None:
    def fail() -> str:
        raise LookupError("a chain of sources")

    library(fail)
    with pytest.raises(AuthError) as caught:
        EntraToken().current(Stop())
    assert "az login" in str(caught.value.hint)


def test_a_stop_does_not_wait_for_it(library: Any, release: threading.Event) -> None:
    stop = Stop()

    def give() -> str:
        stop.set()
        release.wait(60)
        return "too late"

    library(give)
    with pytest.raises(Stopped):
        EntraToken().current(stop)
