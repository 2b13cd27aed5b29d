from __future__ import annotations

from typing import Any

import pytest

from qwen_code.auth.errors import EndpointUntrusted
from qwen_code.auth.types import Method, Status
from qwen_code.base.errors import ConfigError, CredentialMissing, UsageError
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.base.url import Origin

KEY = "sk-test-0123456789abcdef"
OTHER = "sk-other-9876543210fedcba"


def key_of(resolution: Any) -> str:
    credential = resolution.require().credential
    return str(credential.current(Stop()).reveal())


# -- precedence -----------------------------------------------------------------------------------

PLACES = ["flag", "shell", "dotenv", "settings", "login"]


def put(world: Any, place: str, field: str, value: str) -> dict[str, Any]:
    """Set ``field`` at ``place``; what cannot be written is returned as arguments."""
    name = {"key": "LLAMA_API_KEY", "base_url": "LLAMA_API_BASE_URL", "model": "LLAMA_API_MODEL"}[
        field
    ]
    if place == "flag":
        flag = {"key": "api_key", "base_url": "base_url", "model": "model"}[field]
        return {flag: Secret(value) if field == "key" else value}
    if place == "shell":
        world.env[name] = value
    elif place == "dotenv":
        path = world.home / ".qwen/.env"
        old = path.read_text() if path.exists() else ""
        world.write("~/.qwen/.env", f"{old}{name}={value}\n")
    elif place == "settings":
        world.write("~/.qwen/settings.json", {"env": {name: value}})
    else:
        key = {"key": "apiKey", "base_url": "baseUrl", "model": "model"}[field]
        world.profiles("p", p={"method": "openai", "apiKey": KEY, key: value})
    return {}


@pytest.mark.parametrize("field", ["key", "base_url", "model"])
@pytest.mark.parametrize(
    ("winner", "loser"), [(a, b) for i, a in enumerate(PLACES) for b in PLACES[i + 1 :]]
)
def test_a_higher_place_beats_a_lower_one(world: Any, field: str, winner: str, loser: str) -> None:
    good, bad = {
        "key": (KEY, OTHER),
        "base_url": ("https://good.example/v1", "https://bad.example/v1"),
        "model": ("good", "bad"),
    }[field]
    if field != "key":
        world.env["OPENAI_API_KEY"] = KEY
    flags = {**put(world, loser, field, bad), **put(world, winner, field, good)}
    resolution = world.resolve(**flags)
    connection = resolution.require()
    chosen = {"key": key_of(resolution), "base_url": connection.base_url, "model": connection.model}
    assert chosen[field] == good


def test_fields_resolve_by_themselves(world: Any) -> None:
    world.env |= {"LLAMA_API_KEY": KEY}
    world.write("~/.qwen/.env", "LLAMA_API_BASE_URL=https://host.example/v1/\nLLAMA_API_KEY=x\n")
    world.write("~/.qwen/settings.json", {"model": {"name": "from-settings"}})
    resolution = world.resolve()
    connection = resolution.require()
    assert key_of(resolution) == KEY
    assert (connection.base_url, connection.model) == ("https://host.example/v1", "from-settings")


def test_canonical_beats_alias_inside_one_place_only(world: Any, statuses: Any) -> None:
    world.env["OPENAI_API_KEY"] = KEY
    world.write("~/.qwen/.env", f"LLAMA_API_KEY={OTHER}\nOPENAI_API_KEY=zzz\n")
    resolution = world.resolve()
    assert key_of(resolution) == KEY
    assert statuses(resolution, "api_key") == [
        ("OPENAI_API_KEY", Status.CHOSEN),
        ("LLAMA_API_KEY", Status.SHADOWED),
        ("OPENAI_API_KEY", Status.SHADOWED),
    ]


def test_empty_is_absent_and_reported(world: Any, statuses: Any) -> None:
    world.env |= {"LLAMA_API_KEY": "  "}
    resolution = world.resolve()
    assert isinstance(resolution.error, CredentialMissing)
    assert statuses(resolution, "api_key") == [("LLAMA_API_KEY", Status.EMPTY)]
    assert "LLAMA_API_KEY in the environment is empty" in resolution.error.message


# -- providers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "provider", "base_url", "model"),
    [
        ("OPENAI_API_KEY", "openai", "https://api.openai.com/v1", None),
        ("LLAMA_API_KEY", "openai", "https://api.openai.com/v1", None),
        (
            "DASHSCOPE_API_KEY",
            "bailian",
            "https://dashscope.aliyuncs.com/compatible-mode/v1",
            "qwen3-coder-plus",
        ),
        (
            "MODELSCOPE_API_KEY",
            "modelscope",
            "https://api-inference.modelscope.cn/v1",
            "Qwen/Qwen3-Coder-480B-A35B-Instruct",
        ),
        ("OPENROUTER_API_KEY", "openrouter", "https://openrouter.ai/api/v1", "qwen/qwen3-coder"),
    ],
)
def test_a_providers_own_key_is_enough(
    world: Any, name: str, provider: str, base_url: str, model: str | None
) -> None:
    resolution = world.resolve(env={name: KEY})
    connection = resolution.require()
    assert (connection.provider, connection.base_url, connection.model) == (
        provider,
        base_url,
        model,
    )
    assert key_of(resolution) == KEY


def test_a_providers_key_goes_to_no_other_provider(world: Any) -> None:
    env = {"DASHSCOPE_API_KEY": KEY, "LLAMA_API_BASE_URL": "https://openrouter.ai/api/v1"}
    assert isinstance(world.resolve(env=env).error, CredentialMissing)


def test_a_providers_own_key_comes_before_the_alias(world: Any) -> None:
    env = {
        "OPENAI_API_KEY": OTHER,
        "DASHSCOPE_API_KEY": KEY,
        "LLAMA_API_BASE_URL": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    }
    resolution = world.resolve(env=env)
    assert key_of(resolution) == KEY and resolution.require().provider == "bailian-intl"


@pytest.mark.parametrize(
    ("host", "is_dashscope"),
    [
        ("dashscope.aliyuncs.com", True),
        ("DashScope.aliyuncs.com.", True),
        ("coding.dashscope.aliyuncs.com", True),
        ("dashscope-intl.aliyuncs.com", True),
        ("dashscope.aliyuncs.com.evil.example", False),
        ("evil-dashscope.aliyuncs.com", False),
    ],
)
def test_dashscope_headers_go_to_dashscope_hosts(world: Any, host: str, is_dashscope: bool) -> None:
    env = {"LLAMA_API_KEY": KEY, "LLAMA_API_BASE_URL": f"https://{host}/v1"}
    headers = world.resolve(env=env).require().headers
    assert (headers.get("x-dashscope-cachecontrol") == "enable") is is_dashscope
    assert ("x-dashscope-useragent" in headers) is is_dashscope


@pytest.mark.parametrize(
    ("extra", "base_url", "query", "in_path"),
    [
        ({}, "https://r.openai.azure.com/openai/v1", {}, False),
        (
            {"AZURE_OPENAI_API_VERSION": "2024-10-21"},
            "https://r.openai.azure.com",
            {"api-version": "2024-10-21"},
            True,
        ),
        (
            {"AZURE_OPENAI_API_VERSION": "preview"},
            "https://r.openai.azure.com/openai/v1",
            {"api-version": "preview"},
            False,
        ),
    ],
)
def test_azure_has_two_surfaces(
    world: Any, extra: dict[str, str], base_url: str, query: dict[str, str], in_path: bool
) -> None:
    env = {
        "AZURE_OPENAI_API_KEY": KEY,
        "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com/",
        "AZURE_OPENAI_DEPLOYMENT": "mine",
        **extra,
    }
    connection = world.resolve(env=env).require()
    assert (connection.base_url, connection.query) == (base_url, query)
    assert connection.deployment_in_path is in_path
    assert (connection.header_style, connection.model) == ("api-key", "mine")


V1 = "https://r.openai.azure.com/openai/v1"
HOST = "https://r.openai.azure.com"
VERSION = {"api-version": "2024-10-21"}


@pytest.mark.parametrize(
    ("address", "extra", "base_url", "query", "in_path", "model"),
    [
        (HOST, {}, V1, {}, False, None),
        (f"{HOST}/", {}, V1, {}, False, None),
        (f"{HOST}/openai", {}, V1, {}, False, None),
        (f"{HOST}/openai/v1/", {}, V1, {}, False, None),
        (f"{HOST}/openai/v1/chat/completions", {}, V1, {}, False, None),
        (
            f"{HOST}/openai/responses?api-version=preview",
            {},
            V1,
            {"api-version": "preview"},
            False,
            None,
        ),
        (f"{HOST}/openai/deployments/mine", {}, V1, {}, False, "mine"),
        (f"{HOST}/openai/deployments/mine/", {}, V1, {}, False, "mine"),
        (f"{HOST}/openai/deployments/my%20own", {}, V1, {}, False, "my own"),
        (
            f"{HOST}/openai/deployments/mine/chat/completions?api-version=2024-10-21",
            {},
            HOST,
            VERSION,
            True,
            "mine",
        ),
        (f"{HOST}/openai/deployments/mine?api-version=2024-10-21", {}, HOST, VERSION, True, "mine"),
        (
            f"{HOST}/openai/deployments/mine",
            {"OPENAI_API_VERSION": "2024-10-21"},
            HOST,
            VERSION,
            True,
            "mine",
        ),
        (
            f"{HOST}/openai/deployments/mine?api-version=2024-10-21",
            {"OPENAI_API_VERSION": "2023-05-15"},
            HOST,
            VERSION,
            True,
            "mine",
        ),
        (
            f"{HOST}/openai/deployments/mine?api-version=2024-10-21",
            {"LLAMA_API_MODEL": "other"},
            HOST,
            VERSION,
            True,
            "other",
        ),
        (HOST, {"OPENAI_API_VERSION": "2024-10-21"}, HOST, VERSION, True, None),
        (HOST, {"AZURE_OPENAI_DEPLOYMENT_NAME": "named"}, V1, {}, False, "named"),
        (
            "https://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview",
            {"OPENAI_MODEL": "m"},
            "https://r.services.ai.azure.com/models",
            {"api-version": "2024-05-01-preview"},
            False,
            "m",
        ),
        (
            "https://r.openai.azure.us/openai/deployments/mine?api-version=2024-10-21",
            {},
            "https://r.openai.azure.us",
            VERSION,
            True,
            "mine",
        ),
    ],
)
@pytest.mark.parametrize("variable", ["AZURE_OPENAI_ENDPOINT", "OPENAI_BASE_URL"])
def test_azure_takes_what_its_portal_shows(
    world: Any,
    variable: str,
    address: str,
    extra: dict[str, str],
    base_url: str,
    query: dict[str, str],
    in_path: bool,
    model: str | None,
) -> None:
    connection = world.resolve(
        env={"AZURE_OPENAI_API_KEY": KEY, variable: address, **extra}
    ).require()
    assert (connection.base_url, connection.query) == (base_url, query)
    assert (connection.deployment_in_path, connection.model) == (in_path, model)
    assert connection.header_style == "api-key"


def test_a_query_elsewhere_is_a_mistake(world: Any) -> None:
    env = {"LLAMA_API_KEY": KEY, "LLAMA_API_BASE_URL": "https://h.example/v1?api-version=1"}
    assert isinstance(world.resolve(env=env).error, ConfigError)


def test_azure_without_an_endpoint_says_so(world: Any) -> None:
    error = world.resolve(env={"AZURE_OPENAI_API_KEY": KEY}).error
    assert isinstance(error, ConfigError) and "AZURE_OPENAI_ENDPOINT" in error.message


def test_model_providers_of_node_qwen_code_are_read(world: Any) -> None:
    entry = {
        "id": "my-model",
        "baseUrl": "https://mine.example/v1",
        "envKey": "MINE_KEY",
        "generationConfig": {
            "customHeaders": {"X-Team": "a", "Authorization": "Bearer stolen"},
            "samplingParams": {"temperature": 0.2},
            "extra_body": {"enable_thinking": True},
        },
    }
    world.write("~/.qwen/settings.json", {"modelProviders": {"openai": [{"id": "a"}, entry]}})
    resolution = world.resolve(env={"MINE_KEY": KEY}, model="my-model")
    connection = resolution.require()
    assert (connection.base_url, connection.model) == ("https://mine.example/v1", "my-model")
    assert key_of(resolution) == KEY
    assert connection.request_headers == {"x-team": "a"}
    assert connection.generation.body == {"temperature": 0.2, "enable_thinking": True}


# -- a provider that the user chose ---------------------------------------------------------------

CORP = {"id": "corp-model", "baseUrl": "https://corp.example/v1", "envKey": "CORP_KEY"}
CORP_KEY = "corp-0123456789abcdef"
UNRELATED = {
    "OPENAI_API_KEY": KEY,
    "OPENAI_BASE_URL": "https://other.example/v1",
    "OPENAI_MODEL": "other-model",
}


def choose(world: Any, *entries: dict[str, Any], base_url: str | None = None) -> None:
    """Settings as Node Qwen Code writes them when a provider is picked."""
    model = {"name": "corp-model", **({"baseUrl": base_url} if base_url else {})}
    providers = {"openai": list(entries) or [CORP]}
    world.write("~/.qwen/settings.json", {"modelProviders": providers, "model": model})


@pytest.mark.parametrize("place", ["shell", "dotenv", "project"])
def test_a_chosen_provider_is_not_redirected_by_variables_for_other_programs(
    world: Any, place: str, statuses: Any
) -> None:
    choose(world)
    world.env["CORP_KEY"] = CORP_KEY
    lines = "".join(f"{name}={text}\n" for name, text in UNRELATED.items())
    if place == "shell":
        world.env |= UNRELATED
    else:
        world.write("~/.qwen/.env" if place == "dotenv" else ".env", lines)
    resolution = world.resolve()
    connection = resolution.require()
    assert (connection.base_url, connection.model) == ("https://corp.example/v1", "corp-model")
    assert key_of(resolution) == CORP_KEY
    for field, name in (("base_url", "OPENAI_BASE_URL"), ("model", "OPENAI_MODEL")):
        assert (name, Status.SHADOWED) in statuses(resolution, field)


@pytest.mark.parametrize("place", ["shell", "dotenv"])
def test_variables_for_this_program_come_before_a_chosen_provider(world: Any, place: str) -> None:
    choose(world)
    own = {
        "LLAMA_API_KEY": KEY,
        "LLAMA_API_BASE_URL": "https://own.example/v1",
        "LLAMA_API_MODEL": "own-model",
    }
    if place == "shell":
        world.env |= own
    else:
        world.write("~/.qwen/.env", "".join(f"{name}={text}\n" for name, text in own.items()))
    resolution = world.resolve(env={"CORP_KEY": CORP_KEY})
    connection = resolution.require()
    assert (connection.base_url, connection.model) == ("https://own.example/v1", "own-model")
    assert key_of(resolution) == KEY


def test_a_chosen_provider_comes_before_env_in_settings_and_saved_logins(world: Any) -> None:
    settings = {
        "modelProviders": {"openai": [CORP]},
        "model": {"name": "corp-model"},
        "env": {**UNRELATED, "CORP_KEY": CORP_KEY},
    }
    world.write("~/.qwen/settings.json", settings)
    world.profiles("p", p={"method": "openai", "provider": "openrouter", "apiKey": OTHER})
    resolution = world.resolve()
    assert resolution.require().base_url == "https://corp.example/v1"
    assert key_of(resolution) == CORP_KEY


def test_a_chosen_provider_without_its_key_gets_no_other_companys(world: Any) -> None:
    choose(world)
    error = world.resolve(env=UNRELATED).error
    assert isinstance(error, CredentialMissing)
    assert "corp.example" in error.message and "CORP_KEY" in (error.hint or "")


def test_a_chosen_provider_that_names_no_variable_takes_the_alias(world: Any) -> None:
    choose(world, {"id": "corp-model", "baseUrl": "https://corp.example/v1"})
    resolution = world.resolve(env=UNRELATED)
    assert resolution.require().base_url == "https://corp.example/v1"
    assert key_of(resolution) == KEY


@pytest.mark.parametrize("base_url", ["https://b.example/v1", "https://b.example/v1/"])
def test_of_two_entries_of_one_name_the_base_url_decides(world: Any, base_url: str) -> None:
    two = [
        {"id": "corp-model", "baseUrl": "https://a.example/v1", "envKey": "A_KEY"},
        {"id": "corp-model", "baseUrl": "https://b.example/v1", "envKey": "B_KEY"},
    ]
    choose(world, *two, base_url=base_url)
    resolution = world.resolve(env={"A_KEY": KEY, "B_KEY": OTHER, **UNRELATED})
    assert resolution.require().base_url == "https://b.example/v1"
    assert key_of(resolution) == OTHER


@pytest.mark.parametrize("how", ["flag", "LLAMA_API_MODEL"])
def test_a_model_that_is_asked_for_by_name_chooses_its_provider(world: Any, how: str) -> None:
    world.write("~/.qwen/settings.json", {"modelProviders": {"openai": [{"id": "a"}, CORP]}})
    flags = {"model": "corp-model"} if how == "flag" else {}
    env = {**UNRELATED, "CORP_KEY": CORP_KEY} | ({how: "corp-model"} if how != "flag" else {})
    resolution = world.resolve(env=env, **flags)
    assert resolution.require().base_url == "https://corp.example/v1"
    assert key_of(resolution) == CORP_KEY


def test_a_projects_choice_does_not_go_before_the_users_variables(world: Any) -> None:
    providers = {"openai": [{"id": "m", "baseUrl": EVIL}]}
    world.write(".qwen/settings.json", {"modelProviders": providers, "model": {"name": "m"}})
    resolution = world.resolve(env=UNRELATED)
    assert resolution.require().base_url == "https://other.example/v1"


def test_without_a_choice_the_aliases_stand_beside_the_canonical_names(world: Any) -> None:
    world.write("~/.qwen/.env", "LLAMA_API_BASE_URL=https://own.example/v1\n")
    resolution = world.resolve(env=UNRELATED)  # the shell comes before the file
    assert resolution.require().base_url == "https://other.example/v1"


def test_the_third_name_of_the_model(world: Any) -> None:
    env = {"OPENAI_API_KEY": KEY, "QWEN_MODEL": "q"}
    assert world.resolve(env=env).require().model == "q"
    assert world.resolve(env={**env, "OPENAI_MODEL": "o"}).require().model == "o"


@pytest.mark.parametrize("odd", [5, None, [], {"name": 5}])
def test_an_odd_model_setting_costs_itself(world: Any, odd: Any) -> None:
    world.write("~/.qwen/settings.json", {"model": odd})
    assert world.resolve(env={"LLAMA_API_KEY": KEY}).require().model is None


def test_an_address_that_cannot_be_used_is_named_with_its_place(world: Any) -> None:
    world.write(".env", "LLAMA_API_KEY=x\nLLAMA_API_BASE_URL=https://me:pw@host/v1\n")
    error = world.resolve().error
    assert isinstance(error, ConfigError)
    assert ".env:2" in error.message and "pw" not in error.message + (error.hint or "")


def test_a_server_on_this_machine_needs_no_key(world: Any) -> None:
    connection = world.resolve(env={"LLAMA_API_BASE_URL": "http://localhost:11434/v1"}).require()
    assert connection.credential is None and connection.credential_shown == "none needed"


def test_a_key_that_would_break_a_header_is_refused(world: Any) -> None:
    error = world.resolve(env={"LLAMA_API_KEY": "sk-a b\nc-canary-123"}).error
    assert isinstance(error, ConfigError) and "canary" not in error.message


# -- saved logins ---------------------------------------------------------------------------------


def test_a_named_profile_comes_before_the_environment(world: Any) -> None:
    world.profiles(
        "work",
        work={"method": "openai", "provider": "openrouter", "apiKey": OTHER},
        home={
            "method": "openai",
            "baseUrl": "https://home.example/v1",
            "apiKey": KEY,
            "model": "h",
        },
    )
    env = {"LLAMA_API_KEY": "sk-shell-000000000000"}
    resolution = world.resolve(env=env, profile="home")
    connection = resolution.require()
    assert (connection.base_url, connection.model) == ("https://home.example/v1", "h")
    assert (key_of(resolution), connection.profile) == (KEY, "home")


def test_the_current_profile_is_used_where_nothing_else_is_set(world: Any) -> None:
    world.profiles("work", work={"method": "openai", "provider": "openrouter", "apiKey": KEY})
    resolution = world.resolve()
    assert (key_of(resolution), resolution.require().profile) == (KEY, "work")
    assert resolution.require().base_url == "https://openrouter.ai/api/v1"


def test_key_and_address_of_different_logins_are_said(world: Any) -> None:
    world.profiles("work", work={"method": "openai", "provider": "openrouter", "apiKey": KEY})
    resolution = world.resolve(env={"LLAMA_API_KEY": OTHER})
    assert any("LLAMA_API_KEY" in notice for notice in resolution.notices)


def test_an_unknown_profile_lists_those_there_are(world: Any) -> None:
    world.profiles(None, work={"method": "openai", "apiKey": KEY})
    error = world.resolve(profile="wrok").error
    assert isinstance(error, UsageError) and "work" in (error.hint or "")


# -- origin-bound secrets -------------------------------------------------------------------------

EVIL = "https://evil.example/v1"
USER_KEYS = {
    "flag": {},
    "shell": {"LLAMA_API_KEY": KEY},
    "alias": {"OPENAI_API_KEY": KEY},
}


def plant(world: Any, way: str) -> None:
    """The ways in which a project's files can point requests elsewhere."""
    if way == "settings env":
        world.write(".qwen/settings.json", {"env": {"LLAMA_API_BASE_URL": EVIL}})
    elif way == "settings provider":
        models = {"openai": [{"id": "m", "baseUrl": EVIL}]}
        world.write(".qwen/settings.json", {"modelProviders": models})
    else:
        place, name = way.split(" ")
        world.write(place, f"{name}={EVIL}\n")


WAYS = [
    ".env LLAMA_API_BASE_URL",
    ".env OPENAI_BASE_URL",
    ".env OPENAI_API_BASE",
    ".qwen/.env LLAMA_API_BASE_URL",
    ".qwen/.env OPENAI_BASE_URL",
    "../.env LLAMA_API_BASE_URL",
    "settings env",
    "settings provider",
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", ["flag", "shell", "alias", "home settings", "login", "helper"])
def test_a_projects_endpoint_gets_no_key_of_the_user(
    world: Any, way: str, key: str, statuses: Any
) -> None:
    plant(world, way)
    flags: dict[str, Any] = {}
    if key == "flag":
        flags["api_key"] = Secret(KEY)
    elif key == "home settings":
        world.write("~/.qwen/settings.json", {"security": {"auth": {"apiKey": KEY}}})
    elif key == "login":
        world.profiles("p", p={"method": "openai", "apiKey": KEY})
    elif key == "helper":
        world.write("~/.qwen/settings.json", {"security": {"auth": {"apiKeyHelper": ["true"]}}})
    resolution = world.resolve(env=USER_KEYS.get(key, {}), **flags)
    assert isinstance(resolution.error, EndpointUntrusted)
    assert "evil.example" in resolution.error.message
    assert "--trust-endpoint https://evil.example" in (resolution.error.hint or "")
    assert Status.WITHHELD in [status for _, status in statuses(resolution, "api_key")]
    assert KEY not in repr(resolution)


@pytest.mark.parametrize("way", WAYS)
def test_trusting_exactly_that_pairing_lets_it_through(world: Any, way: str) -> None:
    plant(world, way)
    env = {"LLAMA_API_KEY": KEY, "LLAMA_API_MODEL": "m"}
    trusted = world.resolve(env=env, trusted=(Origin.of("https://EVIL.example./"),))
    assert key_of(trusted) == KEY
    other = world.resolve(env=env, trusted=(Origin.of("https://evil.example:8443"),))
    assert isinstance(other.error, EndpointUntrusted)


def test_a_project_may_use_its_own_key_at_its_own_endpoint_and_is_named(world: Any) -> None:
    world.write(".env", f"LLAMA_API_BASE_URL={EVIL}\nLLAMA_API_KEY={OTHER}\n")
    resolution = world.resolve(env={"OPENAI_API_KEY": KEY})
    assert key_of(resolution) == OTHER
    (line,) = resolution.announcements
    assert "prompts go to https://evil.example" in line.text and ".env:1" in line.text


def test_a_projects_key_may_go_to_the_users_endpoint(world: Any) -> None:
    world.write(".env", f"LLAMA_API_KEY={KEY}\n")
    resolution = world.resolve(env={"LLAMA_API_BASE_URL": "https://mine.example/v1"})
    assert key_of(resolution) == KEY and resolution.announcements == ()


def test_a_project_may_not_name_a_variable_of_the_user_as_its_key(
    world: Any, statuses: Any
) -> None:
    models = {"openai": [{"id": "m", "envKey": "GITHUB_TOKEN"}]}
    world.write(".qwen/settings.json", {"modelProviders": models})
    resolution = world.resolve(env={"GITHUB_TOKEN": KEY})
    assert isinstance(resolution.error, CredentialMissing)


def test_a_project_may_name_no_helper(world: Any) -> None:
    settings = {"security": {"auth": {"apiKeyHelper": ["touch", "owned"]}}}
    world.write(".qwen/settings.json", settings)
    assert isinstance(world.resolve().error, CredentialMissing)
    assert not (world.project / "owned").exists()


def test_a_link_to_another_projects_file_does_not_make_it_ones_own(world: Any) -> None:
    other = world.project.parent / "other"
    other.mkdir()
    (other / ".env").write_text(f"LLAMA_API_KEY={KEY}\n")
    (world.project / ".env").symlink_to("../other/.env")
    models = {"openai": [{"id": "m", "baseUrl": EVIL}]}
    world.write(".qwen/settings.json", {"modelProviders": models})
    assert isinstance(world.resolve().error, EndpointUntrusted)


def test_plain_http_beyond_this_machine_is_said_once(world: Any) -> None:
    env = {"LLAMA_API_KEY": KEY, "LLAMA_API_BASE_URL": "http://lab.example/v1"}
    (line,) = world.resolve(env=env).announcements
    assert "unencrypted" in line.text
    assert world.resolve(env=env).require().method is Method.OPENAI


# -- a saved key is for its endpoint --------------------------------------------------------------

SAVED = {"method": "openai", "baseUrl": "https://mine.example/v1", "apiKey": KEY}


@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "OPENAI_API_BASE"])
@pytest.mark.parametrize("profile", [None, "mine"])
def test_a_variable_for_other_programs_does_not_take_a_saved_key_elsewhere(
    world: Any, statuses: Any, name: str, profile: str | None
) -> None:
    world.profiles("mine", mine=SAVED)
    resolution = world.resolve(env={name: "https://theirs.example/v1"}, profile=profile)
    if profile:  # the named login brings its own address
        assert resolution.require().base_url == "https://mine.example/v1"
        return
    assert isinstance(resolution.error, CredentialMissing)
    assert [status for _, status in statuses(resolution, "api_key")] == [Status.EXCLUDED]


def test_a_saved_key_stays_at_its_endpoint_by_any_name_of_it(world: Any) -> None:
    world.profiles("mine", mine=SAVED)
    resolution = world.resolve(env={"OPENAI_BASE_URL": "https://MINE.example:443/v2/"})
    assert key_of(resolution) == KEY


def test_a_saved_key_at_an_address_for_this_program_is_said(world: Any) -> None:
    world.profiles("mine", mine=SAVED)
    resolution = world.resolve(env={"LLAMA_API_BASE_URL": "https://gateway.example/v1"})
    assert key_of(resolution) == KEY
    assert any("the endpoint LLAMA_API_BASE_URL" in notice for notice in resolution.notices)


TARGET = "/openai/deployments/mine/chat/completions?api-version=2024-10-21"


@pytest.mark.parametrize(
    "host",
    [
        *("r.openai.azure.com", "r.cognitiveservices.azure.com", "r.services.ai.azure.com"),
        *("r.openai.azure.us", "r.cognitiveservices.azure.us", "r.services.ai.azure.us"),
        *("r.openai.azure.cn", "r.cognitiveservices.azure.cn", "r.services.ai.azure.cn"),
        *("eastus.api.cognitive.microsoft.com", "r.privatelink.openai.azure.com"),
    ],
)
def test_azure_has_hosts_in_all_its_clouds(world: Any, host: str) -> None:
    env = {"AZURE_OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"https://{host}{TARGET}"}
    connection = world.resolve(env=env).require()
    assert (connection.provider, connection.header_style) == ("azure", "api-key")
    assert (connection.base_url, connection.model) == (f"https://{host}", "mine")


@pytest.mark.parametrize("host", [HOST, "https://ai.corp.example"])
@pytest.mark.parametrize("model", [None, "own"])
def test_a_saved_login_may_have_azures_target(world: Any, host: str, model: str | None) -> None:
    login = {"method": "openai", "provider": "azure", "baseUrl": f"{host}{TARGET}", "apiKey": KEY}
    world.profiles("a", a={**login, **({"model": model} if model else {})})
    connection = world.resolve().require()
    assert (connection.base_url, connection.query) == (host, VERSION)
    assert connection.model == (model or "mine")
    assert key_of(world.resolve()) == KEY


def test_the_model_of_another_login_is_no_deployment(world: Any) -> None:
    world.profiles("o", o={"method": "openai", "model": "other", "apiKey": OTHER})
    env = {"AZURE_OPENAI_API_KEY": KEY, "AZURE_OPENAI_ENDPOINT": f"{HOST}{TARGET}"}
    assert world.resolve(env=env).require().model == "mine"


@pytest.mark.parametrize("name", ["mine", "own"])
def test_an_entry_of_settings_names_its_deployment(world: Any, name: str) -> None:
    entry = {
        "id": name,
        "baseUrl": f"{HOST}{TARGET}",
        "envKey": "AZURE_OPENAI_API_KEY",
        "generationConfig": {"samplingParams": {"temperature": 0.5}},
    }
    world.write("~/.qwen/settings.json", {"modelProviders": {"openai": [entry]}})
    for flags in ({}, {"model": name}):
        connection = world.resolve(env={"AZURE_OPENAI_API_KEY": KEY}, **flags).require()
        assert (connection.base_url, connection.model) == (HOST, name)
        assert connection.generation.body == {"temperature": 0.5}


@pytest.mark.parametrize("query", ["?api-version=2024-10-21&k=v", "?api-version=2024-10-21#x"])
def test_what_is_wrong_with_azures_address_names_who_set_it(world: Any, query: str) -> None:
    env = {"AZURE_OPENAI_API_KEY": KEY, "AZURE_OPENAI_ENDPOINT": f"{HOST}/openai{query}"}
    error = world.resolve(env=env).error
    assert isinstance(error, ConfigError)
    assert error.message.startswith("AZURE_OPENAI_ENDPOINT in the environment: ")


def test_azure_behind_a_host_name_of_its_owner(world: Any) -> None:
    gateway = {"method": "openai", "provider": "azure", "baseUrl": "https://ai.corp.example"}
    world.profiles("corp", corp={**gateway, "apiKey": KEY, "model": "gpt"})
    connection = world.resolve().require()
    assert (connection.provider, connection.header_style) == ("azure", "api-key")


@pytest.mark.parametrize("key", ["openai", "corp"])
def test_an_object_with_the_models_counts(world: Any, key: str) -> None:
    entry = {"id": "my-model", "baseUrl": "https://mine.example/v1", "envKey": "MINE_KEY"}
    table = {key: {"protocol": "openai", "models": [entry]}}
    world.write("~/.qwen/settings.json", {"modelProviders": table})
    connection = world.resolve(env={"MINE_KEY": KEY}, model="my-model").require()
    assert connection.base_url == "https://mine.example/v1"


@pytest.mark.parametrize("protocol", ["anthropic", "gemini", None, 1])
def test_an_object_of_another_protocol_does_not(world: Any, protocol: object) -> None:
    entry = {"id": "my-model", "baseUrl": "https://mine.example/v1", "envKey": "MINE_KEY"}
    table = {"corp": {"protocol": protocol, "models": [entry]}}
    world.write("~/.qwen/settings.json", {"modelProviders": table})
    resolution = world.resolve(env={"MINE_KEY": KEY}, model="my-model")
    assert resolution.connection is None or "mine.example" not in resolution.connection.base_url


@pytest.mark.parametrize(
    ("level", "effort"), [("high", "high"), ("none", "off"), (None, "low"), ("much", "low")]
)
def test_the_effort_for_all_providers(world: Any, level: object, effort: str) -> None:
    generation = {"reasoning": {"effort": "low"}}
    entry = {"id": "m", "baseUrl": "https://mine.example/v1", "envKey": "MINE_KEY"}
    tree = {
        "model": {"reasoningEffort": level},
        "modelProviders": {"openai": [{**entry, "generationConfig": generation}]},
    }
    world.write("~/.qwen/settings.json", tree)
    connection = world.resolve(env={"MINE_KEY": KEY}, model="m").require()
    assert connection.generation.effort == effort


BASE = "https://mine.example/v1"


@pytest.mark.parametrize(
    ("environ", "base_url", "source"),
    [
        ({"OWN": KEY}, "https://api.openai.com/v1", "OWN"),
        ({"OWN": KEY, "OPENAI_BASE_URL": BASE}, BASE, "OWN"),
        ({"OWN": KEY, "OPENAI_BASE_URL": BASE, "OPENAI_API_KEY": OTHER}, BASE, "OWN"),
        ({"OPENAI_BASE_URL": BASE, "OPENAI_API_KEY": OTHER}, BASE, "OPENAI_API_KEY"),
        ({"OWN": "", "OPENAI_BASE_URL": BASE, "OPENAI_API_KEY": OTHER}, BASE, "OPENAI_API_KEY"),
    ],
)
def test_a_chosen_model_without_an_address_has_its_own_key(
    world: Any, environ: dict[str, str], base_url: str, source: str
) -> None:
    choose(world, {"id": "corp-model", "envKey": "OWN"})
    connection = world.resolve(env=environ).require()
    assert connection.base_url == base_url
    assert connection.credential_source.name == source


def test_its_key_does_not_go_to_the_address_of_another_providers_key(world: Any) -> None:
    choose(world, {"id": "corp-model", "envKey": "OWN"})
    connection = world.resolve(env={"OWN": KEY, "DASHSCOPE_API_KEY": OTHER}).require()
    assert "dashscope" in connection.base_url
    assert connection.credential_source.name == "DASHSCOPE_API_KEY"


def test_a_model_for_pictures_or_speech_is_not_the_usual_one(world: Any) -> None:
    one = {"baseUrl": BASE, "envKey": "OWN"}
    models = [
        {"id": name, **one, name: True} for name in ("imageOnly", "voiceOnly", "realtimeOnly")
    ]
    models.append({"id": "m", **one, "imageOnly": False})
    world.write("~/.qwen/settings.json", {"modelProviders": {"openai": models}})
    assert world.resolve(env={"OWN": KEY}).require().model == "m"
    assert world.resolve(env={"OWN": KEY}, model="imageOnly").require().model == "imageOnly"
