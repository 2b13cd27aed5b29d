from __future__ import annotations

from typing import Any

import pytest

from qwen_code.auth.types import Method, Status
from qwen_code.base.errors import (
    AuthError,
    ConfigError,
    CredentialMissing,
    ExitCode,
    UsageError,
)
from qwen_code.base.secret import Secret

KEY = "sk-test-0123456789abcdef"


def saved(world: Any, method: str) -> None:
    world.write("~/.qwen/settings.json", {"security": {"auth": {"selectedType": method}}})


def test_the_flag_decides(world: Any) -> None:
    saved(world, "openai")
    world.env["LLAMA_API_KEY"] = KEY
    assert world.resolve(auth_type="local").require().method is Method.LOCAL


@pytest.mark.parametrize("interactive", [True, False])
def test_an_enforced_type_comes_next_and_a_conflict_is_an_error(
    world: Any, interactive: bool
) -> None:
    world.write("~/.qwen/settings.json", {"security": {"auth": {"enforcedType": "local"}}})
    world.env["LLAMA_API_KEY"] = KEY
    assert world.resolve(interactive=interactive).require().method is Method.LOCAL
    error = world.resolve(auth_type="openai", interactive=interactive).error
    assert isinstance(error, ConfigError) and "allows only local" in error.message
    assert isinstance(world.resolve(base_url="https://x.example/v1").error, ConfigError)


def test_an_enforced_type_that_does_not_exist_is_an_error(world: Any) -> None:
    world.write("~/.qwen/settings.json", {"security": {"auth": {"enforcedType": "gemini"}}})
    error = world.resolve().error
    assert isinstance(error, ConfigError) and "settings.json" in error.message


def test_at_a_terminal_the_saved_choice_comes_before_a_configured_api(world: Any) -> None:
    saved(world, "local")
    world.env["LLAMA_API_KEY"] = KEY
    assert world.resolve(interactive=True).require().method is Method.LOCAL


def test_without_a_terminal_a_configured_api_comes_before_the_saved_choice(world: Any) -> None:
    saved(world, "local")
    assert world.resolve().require().method is Method.LOCAL
    world.env["LLAMA_API_KEY"] = KEY
    assert world.resolve().require().method is Method.OPENAI


def test_a_project_cannot_choose_the_method(world: Any, statuses: Any) -> None:
    world.write(".qwen/settings.json", {"security": {"auth": {"selectedType": "local"}}})
    resolution = world.resolve()
    assert isinstance(resolution.error, CredentialMissing)
    assert statuses(resolution, "method") == [("security.auth.selectedType", Status.UNTRUSTED)]


NOT_SPOKEN = ["anthropic", "gemini", "vertex-ai", "openai-responses", "oauth-personal"]
OTHER_COMPANIES = {
    "variable": {"OPENAI_API_KEY": KEY},
    "own variable of a provider": {"DASHSCOPE_API_KEY": KEY},
    "endpoint": {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://other.example/v1"},
    "nothing": {},
}


@pytest.mark.parametrize("method", NOT_SPOKEN)
@pytest.mark.parametrize("interactive", [True, False])
@pytest.mark.parametrize("env", OTHER_COMPANIES.values(), ids=OTHER_COMPANIES)
def test_a_saved_choice_of_another_protocol_is_never_another_companys_endpoint(
    world: Any, method: str, interactive: bool, env: dict[str, str]
) -> None:
    saved(world, method)
    world.write("~/.qwen/oauth_creds.json", {"access_token": "t"})
    world.profiles("p", p={"method": "openai", "provider": "openrouter", "apiKey": KEY})
    resolution = world.resolve(interactive=interactive, env=env)
    assert resolution.connection is None
    assert isinstance(resolution.error, AuthError)
    assert method in resolution.error.message and "does not support" in resolution.error.message
    assert "qwen auth login" in (resolution.error.hint or "")


@pytest.mark.parametrize("method", NOT_SPOKEN)
def test_a_decision_for_this_program_goes_before_that_choice(world: Any, method: str) -> None:
    saved(world, method)
    assert world.resolve(auth_type="local").require().method is Method.LOCAL
    here = {"api_key": Secret(KEY)}
    assert world.resolve(interactive=True, **here).require().method is Method.OPENAI
    headless = world.resolve(env={"LLAMA_API_KEY": KEY})
    assert headless.require().method is Method.OPENAI
    assert isinstance(world.resolve(env={"LLAMA_API_KEY": KEY}, interactive=True).error, AuthError)
    own = {"qwen_code": {"auth": {"selectedType": "local"}}}
    world.write("~/.qwen/settings.json", {"security": {"auth": {"selectedType": method}}, **own})
    assert world.resolve(interactive=True).require().method is Method.LOCAL


@pytest.mark.parametrize("interactive", [True, False])
def test_a_method_that_nobody_knows_costs_itself_with_a_notice(
    world: Any, interactive: bool, statuses: Any
) -> None:
    saved(world, "opnai")
    world.env["OPENAI_API_KEY"] = KEY
    resolution = world.resolve(interactive=interactive)
    assert resolution.require().method is Method.OPENAI
    assert ("security.auth.selectedType", Status.EXCLUDED) in statuses(resolution, "method")
    assert any("'opnai'" in notice and "ignored" in notice for notice in resolution.notices)


def test_a_method_of_the_wrong_type_is_an_error(world: Any) -> None:
    world.write("~/.qwen/settings.json", {"security": {"auth": {"selectedType": 5}}})
    with pytest.raises(ConfigError, match="is not a string"):
        world.resolve()


def test_a_flag_that_names_no_method_is_an_error(world: Any) -> None:
    assert isinstance(world.resolve(auth_type="opnai").error, UsageError)


def test_the_choice_that_only_this_program_knows_is_read_first(world: Any, statuses: Any) -> None:
    settings = {
        "security": {"auth": {"selectedType": "openai"}},
        "qwen_code": {"auth": {"selectedType": "local"}},
    }
    world.write("~/.qwen/settings.json", settings)
    resolution = world.resolve(interactive=True)
    assert resolution.require().method is Method.LOCAL
    assert statuses(resolution, "method")[:2] == [
        ("qwen_code.auth.selectedType", Status.CHOSEN),
        ("security.auth.selectedType", Status.SHADOWED),
    ]


def test_a_key_or_address_on_the_command_line_means_the_api(world: Any) -> None:
    saved(world, "local")
    resolution = world.resolve(interactive=True, base_url="http://127.0.0.1:1/v1")
    assert resolution.require().method is Method.OPENAI


def test_nothing_at_all_is_exit_41_with_the_way_out(world: Any) -> None:
    error = world.resolve().error
    assert isinstance(error, CredentialMissing) and error.exit_code == ExitCode.AUTHENTICATION
    for needed in (
        "LLAMA_API_KEY",
        "LLAMA_API_BASE_URL",
        "LLAMA_API_MODEL",
        ".qwen/.env",
        "qwen auth login",
    ):
        assert needed in (error.hint or "")


def test_two_usable_methods_are_said_unless_one_is_pinned(world: Any) -> None:
    world.write("~/.qwen/oauth_creds.json", {"access_token": "t"})
    world.env["LLAMA_API_KEY"] = KEY
    # The advice is one that works: without a terminal, a saved choice comes after the API.
    assert "enforcedType" in world.resolve().notices[0]
    assert "selectedType" in world.resolve(interactive=True).notices[0]
    assert world.resolve(auth_type="openai").notices == ()
    saved(world, "openai")
    assert world.resolve(interactive=True).notices == ()


def test_an_error_still_carries_the_whole_trace(world: Any) -> None:
    world.env["LLAMA_API_BASE_URL"] = "https://host.example/v1"
    resolution = world.resolve()
    assert resolution.connection is None
    assert [field.field for field in resolution.fields] == ["method", "base_url", "api_key"]


def test_a_broken_address_of_the_user_is_its_own_error(world: Any) -> None:
    world.env |= {"LLAMA_API_KEY": KEY, "LLAMA_API_BASE_URL": "host/v1"}
    assert isinstance(world.resolve().error, ConfigError)


def test_the_model_flag_names_the_local_model(world: Any) -> None:
    assert world.resolve(auth_type="local", model="large").require().model == "large"
    world.env["LLAMA_API_MODEL"] = "gpt"
    assert world.resolve(auth_type="local").require().model is None


def test_the_trace_of_another_method_shows_what_it_sets_aside(world: Any) -> None:
    world.env["LLAMA_API_KEY"] = KEY
    resolution = world.resolve(auth_type="local")
    fields = {field.field: field for field in resolution.fields}
    assert list(fields) == ["method", "base_url", "api_key", "model"]
    chosen, key = fields["api_key"].candidates
    assert (chosen.source.name, chosen.status) == ("the embedded model", Status.CHOSEN)
    assert (key.source.name, key.status) == ("LLAMA_API_KEY", Status.SHADOWED)
    assert key.reason == "the method is local"
    assert not any("api.openai.com" in c.shown for f in fields.values() for c in f.candidates)


@pytest.mark.parametrize("interactive", [True, False])
def test_a_pinned_login_is_the_reason_that_is_given(
    world: Any, statuses: Any, interactive: bool
) -> None:
    work = {"method": "openai", "baseUrl": "https://work.example/v1", "apiKey": KEY}
    world.profiles("work", work=work, other={**work, "baseUrl": "https://other.example/v1"})
    pins = {"projectProfiles": {str(world.project): "other"}}
    world.write("~/.qwen/settings.json", {"security": {"auth": pins}})
    resolution = world.resolve(interactive=interactive)
    assert resolution.require().base_url == "https://other.example/v1"
    name, status = statuses(resolution, "method")[0]
    assert (name, status) == ("security.auth.projectProfiles", Status.CHOSEN)
    assert resolution.notices == ()


def test_what_nearly_was_a_login_is_named(world: Any) -> None:
    world.write("~/.qwen/settings.json", {"security": {"auth": {"selectedType": "qwen-auth"}}})
    world.write("~/.qwen/.env", f"LLAMA_API_KEY={KEY}\n")
    world.write(".env", "DATABASE_URL=x\n")
    world.profiles(None, work={"method": "openai", "provider": "openrouter", "apiKey": KEY})
    error = world.resolve().error
    assert isinstance(error, CredentialMissing)
    for part in ("'qwen-auth'", "qwen auth switch", ".qwen/.env is not read, because"):
        assert part in error.message


def test_a_choice_without_anything_behind_it_blames_no_endpoint(world: Any) -> None:
    saved(world, "openai")
    error = world.resolve(interactive=True).error
    assert isinstance(error, CredentialMissing) and "no way to reach a model" in error.message
