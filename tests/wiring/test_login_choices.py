"""The sign-in dialog as data, with real model servers on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from model_server import FakeModelServer
from sign_ins import store_sign_in
from sparse_weights import put_sparse

from qwen_code.auth.oauth.token import Token, document_of
from qwen_code.auth.resolver import resolve
from qwen_code.auth.stores import login_ref, open_store
from qwen_code.base.errors import ConfigError, CredentialRejected, QwenError
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop, Stopped
from qwen_code.config.providers import PROVIDERS
from qwen_code.local.detect import FoundServer
from qwen_code.local.store import WeightStore
from qwen_code.local.weights import LARGE, SMALL
from qwen_code.wiring.launch import Launch
from qwen_code.wiring.login_check import near_first
from qwen_code.wiring.login_choices import LoginChoices
from qwen_code.wiring.login_steps import Approve, Ask, Download, Login, Pick, Saved, Step

KEY = "sk-good-0123456789abcdef"
OTHER = "sk-other-0123456789abcdef"


class World:
    def __init__(self, root: Path) -> None:
        self.home = root / "home" / ".qwen"
        self.environ = {"HOME": str(root / "home")}
        self.cwd = root
        self.notices: list[str] = []
        self.found: list[FoundServer] = []

    def choices(self, **environ: str) -> LoginChoices:
        launch = Launch(cwd=self.cwd, environ={**self.environ, **environ})
        self.config = launch.config(self.notices.append)
        return LoginChoices(
            launch, self.config, notice=self.notices.append, find=lambda: self.found
        )

    def saved(self) -> dict[str, Any]:
        file = self.home / "profiles.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def key(self, name: str) -> Any:
        return (open_store(login_ref(self.config.paths, name)).load() or {}).get("api_key")

    def settings(self) -> Any:
        return json.loads((self.home / "settings.json").read_text())

    def everything(self) -> dict[str, bytes]:
        """All that is saved, to see that nothing of it changed."""
        files = (path for path in self.home.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in files if path.suffix == ".json"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def server() -> Iterator[FakeModelServer]:
    server = FakeModelServer()
    server.models = ["big", "coder-small", "coder-large"]
    server.accepts = {KEY, OTHER}
    yield server
    server.close()


@pytest.fixture
def gone() -> str:
    """The address of a server that is not there any more."""
    server = FakeModelServer()
    server.close()
    return server.base_url


def answer(login: Login, *texts: str) -> Step:
    for text in texts:
        login.answer(text, Stop())
    return login.step


def back(login: Login) -> Step:
    assert login.back()
    return login.step


def api(world: World, base_url: str, *texts: str) -> tuple[Login, Step]:
    login = world.choices().begin("openai")
    return login, answer(login, "custom", base_url, *texts)


def titles(step: Step) -> list[str]:
    assert isinstance(step, Pick)
    return [option.title for option in step.options]


def problem(step: Step) -> QwenError:
    assert isinstance(step, Pick | Ask)
    assert step.problem is not None
    return step.problem


# -- the menu -------------------------------------------------------------------------------------


def test_the_three_methods_come_first_in_honest_words(world: World) -> None:
    menu = world.choices().menu()
    assert titles(menu) == ["Qwen OAuth", "OpenAI-compatible API", "Local model, no account"]
    assert menu.usual == 1
    assert "ended its free tier" in menu.options[0].detail
    assert "491 MB to download" in menu.options[2].detail


def test_an_organisations_own_server_is_named_instead(world: World) -> None:
    menu = world.choices(QWEN_OAUTH_ISSUER="https://id.example").menu()
    assert menu.options[0].title == "Qwen OAuth (recommended)" and menu.usual == 0
    assert menu.options[0].detail == "in the browser, at https://id.example"


def test_what_is_here_already_follows(world: World) -> None:
    put_sparse(WeightStore(world.home / "models"), SMALL)
    world.found = [FoundServer("Ollama", "http://127.0.0.1:1/v1", ("a", "b"))]
    choices = world.choices()
    world.home.mkdir(parents=True, exist_ok=True)
    profiles = {"work": {"method": "openai", "provider": "openrouter", "model": "m"}}
    (world.home / "profiles.json").write_text(json.dumps({"profiles": profiles}))
    menu = choices.menu()
    assert titles(menu)[3:] == ["Ollama", "Saved login work"]
    assert menu.options[4].detail == "openai · https://openrouter.ai/api/v1 · m"
    assert "on this machine" in menu.options[2].detail


# -- an API key -----------------------------------------------------------------------------------


def test_every_provider_is_offered_once_with_the_page_of_its_keys(world: World) -> None:
    step = world.choices().begin("openai").step
    assert isinstance(step, Pick)
    keys = [option.key for option in step.options]
    families = {row.family or row.name for row in PROVIDERS if row.is_offered}
    assert set(keys) == families and len(keys) == len(families)
    groups = [option.group for option in step.options]
    assert len(list(groupby(groups))) == len(set(groups))  # each heading once
    details = {option.key: option.detail for option in step.options}
    assert "platform.openai.com" in details["openai"] and details["ollama"] == ""


@pytest.mark.parametrize(
    ("family", "row", "words"),
    [
        ("bailian", "bailian-hk", "Hong Kong"),
        ("coding-plan", "coding-plan-intl", "Singapore"),
        ("token-plan", "token-plan", "Beijing"),
        ("moonshot", "moonshot-cn", "China"),
        ("zai", "zai-coding-plan", "Coding Plan"),
        ("minimax", "minimax", "International"),
    ],
)
def test_a_key_of_a_region_is_asked_where_it_is_from(
    world: World, family: str, row: str, words: str
) -> None:
    login = world.choices().begin("openai")
    step = answer(login, family)
    assert isinstance(step, Pick)
    option = next(option for option in step.options if option.key == row)
    assert words in option.title and option.detail.startswith("https://")
    key = answer(login, row)
    assert isinstance(key, Ask) and key.is_secret
    assert isinstance(back(login), Pick)


def test_a_key_that_cannot_be_the_plans_is_not_sent(world: World) -> None:
    login = world.choices().begin("openai", provider="coding-plan")
    step = answer(login, KEY)
    assert isinstance(step, Ask) and step.is_secret and "sk-sp-" in problem(step).message


@pytest.mark.parametrize("name", ["ollama", "lmstudio", "vllm", "litellm"])
def test_a_server_of_ones_own_is_asked_where_it_is(world: World, name: str) -> None:
    step = answer(world.choices().begin("openai"), name)
    assert isinstance(step, Ask) and step.title == "Base URL"
    assert step.default.startswith("http://127.0.0.1:") and step.default.endswith("/v1")


def test_the_address_of_ollama_is_where_its_variable_says(world: World) -> None:
    choices = world.choices(OLLAMA_HOST="0.0.0.0:9999")
    step = answer(choices.begin("openai"), "ollama")
    assert isinstance(step, Ask) and step.default == "http://127.0.0.1:9999/v1"


def test_a_server_that_needs_no_key_is_not_asked_for_one(
    world: World, server: FakeModelServer
) -> None:
    server.lists_to_anyone, server.accepts, server.models = True, {""}, ["only"]
    saved = answer(world.choices().begin("openai"), "ollama", server.base_url)
    assert isinstance(saved, Saved) and saved.profile == "ollama"
    launch = Launch(cwd=world.cwd, environ={**world.environ, "OPENAI_API_KEY": OTHER})
    connection = resolve(launch.inputs(launch.config(print), print)).require()
    assert connection.provider == "ollama" and connection.credential_shown == "none needed"


def test_a_server_that_wants_a_key_after_all_is_given_one(
    world: World, server: FakeModelServer
) -> None:
    server.models = ["only"]
    login = world.choices().begin("openai")
    step = answer(login, "vllm", server.base_url)
    assert isinstance(step, Ask) and step.is_secret and "needs a key" in problem(step).message
    assert isinstance(answer(login, KEY), Saved)
    assert world.saved()["profiles"]["vllm"]["provider"] == "vllm"


def test_a_key_is_proved_by_the_list_of_models_and_saved_with_the_chosen_one(
    world: World, server: FakeModelServer
) -> None:
    login, step = api(world, server.base_url, KEY)
    assert isinstance(step, Pick) and step.takes_other
    assert titles(step) == server.models
    assert world.everything() == {}
    saved = answer(login, "coder-large")
    assert isinstance(saved, Saved) and saved.profile == "127.0.0.1"
    profile = world.saved()["profiles"]["127.0.0.1"]
    assert (profile["baseUrl"], profile["model"]) == (server.base_url, "coder-large")
    assert world.saved()["current"] == "127.0.0.1" and world.key("127.0.0.1") == KEY
    assert world.settings() == {"security": {"auth": {"selectedType": "openai"}}}
    assert [(r.method, r.key) for r in server.requests] == [("GET", KEY), ("GET", "")]


def test_a_refused_key_is_asked_for_again(world: World, server: FakeModelServer) -> None:
    login, step = api(world, server.base_url, "sk-bad-0123456789")
    assert isinstance(step, Ask) and step.is_secret
    assert isinstance(problem(step), CredentialRejected)
    assert world.everything() == {}
    assert titles(answer(login, KEY)) == server.models


@pytest.mark.parametrize("text", ["", "two words", "sk-\u00e4", "  "])
def test_what_cannot_be_a_key_is_said_at_once(world: World, text: str) -> None:
    login = world.choices().begin("openai", provider="openrouter")
    step = answer(login, text)
    assert isinstance(step, Ask) and step.is_secret and problem(step).message


def test_a_server_on_this_machine_may_want_no_key(world: World, server: FakeModelServer) -> None:
    server.lists_to_anyone, server.accepts = True, {""}
    server.models = ["only"]
    _, step = api(world, server.base_url, "")
    assert isinstance(step, Saved), step
    assert world.saved()["profiles"]["127.0.0.1"]["model"] == "only"


def test_an_open_list_does_not_prove_that_no_key_is_needed(
    world: World, server: FakeModelServer
) -> None:
    server.lists_to_anyone, server.models = True, ["only"]
    login, step = api(world, server.base_url, "")
    assert isinstance(step, Ask) and step.is_secret
    assert "needs a key" in problem(step).message
    assert isinstance(answer(login, KEY), Saved)


def test_a_login_without_a_key_shows_none(world: World, server: FakeModelServer) -> None:
    server.lists_to_anyone, server.accepts, server.models = True, {""}, ["only"]
    api(world, server.base_url, "")
    launch = Launch(cwd=world.cwd, environ=world.environ)
    connection = resolve(launch.inputs(launch.config(print), print)).require()
    assert connection.credential_shown == "none needed"


@pytest.mark.parametrize("refused", [[OTHER + "1"], ["two words", OTHER + "1", OTHER + "2"]])
def test_a_refused_answer_is_no_step_to_go_back_to(
    world: World, server: FakeModelServer, refused: list[str]
) -> None:
    login, step = api(world, server.base_url, *refused)
    assert isinstance(step, Ask) and step.is_secret and step.problem is not None
    address = back(login)
    assert isinstance(address, Ask) and address.title == "Base URL"
    assert titles(answer(login, server.base_url, *refused, KEY)) == server.models
    key = back(login)
    assert isinstance(key, Ask) and key.is_secret and key.problem is None


def test_azures_target_names_the_deployment(world: World, server: FakeModelServer) -> None:
    server.accepts, server.lists_to_anyone = None, True
    target = "/openai/deployments/mine/chat/completions?api-version=2024-10-21"
    address = f"http://127.0.0.1:{server.port}{target}"
    login = world.choices().begin("openai")
    saved = answer(login, "azure", address, KEY)
    assert isinstance(saved, Saved)
    profile = world.saved()["profiles"]["azure"]
    assert (profile["baseUrl"], profile["model"]) == (address, "mine")
    assert server.requests[-1].path == target
    assert server.requests[-1].headers["api-key"] == KEY


def test_azures_address_is_checked_as_it_is_typed(world: World) -> None:
    login = world.choices().begin("openai")
    step = answer(login, "azure", "https://gw.corp.example/openai?api-version=1&key=2")
    assert isinstance(step, Ask) and "api-version" in problem(step).message


def test_what_was_said_of_an_address_is_not_said_again(world: World) -> None:
    login = world.choices().begin("openai")
    answer(login, "custom", "http://lab.example/v1", "two words", "three more words")
    assert len([line for line in world.notices if "unencrypted" in line]) == 1


@pytest.mark.parametrize(
    "text", ["host/v1", "https://", "ftp://x", "https://u:p@host/v1", "https://host/v1?key=1", ""]
)
def test_an_address_is_checked_as_it_is_typed(world: World, text: str) -> None:
    login = world.choices().begin("openai")
    step = answer(login, "custom", text)
    assert isinstance(step, Ask) and step.title == "Base URL" and problem(step).message


def test_plain_http_to_another_machine_is_said(world: World) -> None:
    answer(world.choices().begin("openai"), "custom", "http://lab.example/v1")
    assert any("unencrypted" in line for line in world.notices)


def test_a_list_that_anyone_gets_proves_nothing_so_a_token_is_asked_for(
    world: World, server: FakeModelServer
) -> None:
    server.lists_to_anyone = True
    login, step = api(world, server.base_url, "sk-bad-0123456789", "big")
    assert isinstance(problem(step), CredentialRejected)
    saved = answer(login, KEY, "big")
    assert isinstance(saved, Saved)
    body = server.requests[-1].body
    assert (body["model"], body["max_tokens"], server.requests[-1].key) == ("big", 1, KEY)


def test_without_a_list_the_model_is_typed_and_asked(world: World, server: FakeModelServer) -> None:
    server.models = []
    login, step = api(world, server.base_url, KEY)
    assert isinstance(step, Ask) and step.title == "Model"
    saved = answer(login, "typed")
    assert isinstance(saved, Saved)
    assert server.requests[-1].body["model"] == "typed"


def test_an_unknown_model_is_asked_for_again(world: World, server: FakeModelServer) -> None:
    server.models, server.answers = [], {"right"}
    login, step = api(world, server.base_url, KEY, "wrong")
    assert isinstance(step, Ask) and "wrong" in problem(step).message
    assert isinstance(answer(login, "right"), Saved)


def test_an_only_model_is_no_question(world: World, server: FakeModelServer) -> None:
    server.models = ["only"]
    _, step = api(world, server.base_url, KEY)
    assert isinstance(step, Saved)


def test_a_model_that_is_not_listed_can_be_typed(world: World, server: FakeModelServer) -> None:
    login, _ = api(world, server.base_url, KEY)
    assert isinstance(answer(login, "preview"), Saved)
    assert world.saved()["profiles"]["127.0.0.1"]["model"] == "preview"


# -- beside Node Qwen Code --------------------------------------------------------------------------


def test_where_node_is_used_it_is_asked_whether_it_gets_the_key_too(
    world: World, server: FakeModelServer
) -> None:
    world.home.mkdir(parents=True)
    (world.home / "settings.json").write_text('{"$version": 4}')
    server.models = ["only"]
    login, step = api(world, server.base_url, KEY)
    assert titles(step) == ["For this program alone", "For Node Qwen Code, too"]
    saved = answer(login, "both")
    assert isinstance(saved, Saved) and "for Node Qwen Code" in saved.text
    settings = world.settings()
    (entry,) = settings["modelProviders"]["openai"]
    assert (entry["id"], entry["baseUrl"]) == ("only", server.base_url)
    assert settings["env"] == {entry["envKey"]: KEY} and settings["model"] == {"name": "only"}
    assert world.saved()["current"] == "127.0.0.1"
    launch = Launch(cwd=world.cwd, environ=world.environ)
    connection = resolve(launch.inputs(launch.config(print), print)).require()
    assert (connection.base_url, connection.model) == (server.base_url, "only")


def test_a_key_for_this_program_alone(world: World, server: FakeModelServer) -> None:
    world.home.mkdir(parents=True)
    (world.home / "settings.json").write_text('{"$version": 4}')
    server.models = ["only"]
    login, _ = api(world, server.base_url, KEY)
    assert isinstance(answer(login, "own"), Saved)
    assert KEY not in (world.home / "settings.json").read_text()


def test_a_new_login_is_used_although_settings_chose_another(
    world: World, server: FakeModelServer
) -> None:
    chosen = {"id": "m", "baseUrl": "https://a.example/v1", "envKey": "A"}
    world.home.mkdir(parents=True)
    settings = {"modelProviders": {"openai": [chosen]}, "env": {"A": OTHER}, "model": {"name": "m"}}
    (world.home / "settings.json").write_text(json.dumps(settings))
    server.models = ["only"]
    login, _ = api(world, server.base_url, KEY)
    assert isinstance(answer(login, "own"), Saved)
    assert any("taken back" in line for line in world.notices)
    launch = Launch(cwd=world.cwd, environ=world.environ)
    connection = resolve(launch.inputs(launch.config(print), print)).require()
    assert (connection.base_url, connection.model) == (server.base_url, "only")


# -- an endpoint that cannot be asked -------------------------------------------------------------


def test_an_unreachable_endpoint_leaves_the_choice(
    world: World, server: FakeModelServer, gone: str
) -> None:
    login, step = api(world, gone, KEY)
    assert titles(step) == [
        "Try again",
        "Change the address",
        "Save it anyway, unchecked",
    ]
    assert world.everything() == {}
    again = answer(login, "again")
    assert titles(again)[0] == "Try again"
    address = answer(login, "address")
    assert isinstance(address, Ask) and address.title == "Base URL"
    assert isinstance(answer(login, server.base_url, KEY, "big"), Saved)


def test_it_is_saved_without_proof_when_the_person_says_so(world: World, gone: str) -> None:
    login, _ = api(world, gone, KEY)
    saved = answer(login, "save", "m")
    assert isinstance(saved, Saved) and saved.profile is not None
    assert world.key(saved.profile) == KEY
    assert world.saved()["profiles"][saved.profile]["model"] == "m"


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_server_in_trouble_is_unreachable(
    world: World, server: FakeModelServer, status: int
) -> None:
    server.status, server.error_body = status, b"<html>trouble</html>"
    login, step = api(world, server.base_url, KEY)
    assert titles(step)[0] == "Try again"
    server.status = 200
    assert titles(answer(login, "again")) == server.models  # without typing the key again


def test_a_page_that_is_no_api_is_not_saved_as_one(world: World, server: FakeModelServer) -> None:
    server.status, server.error_body = 404, b"<html>Not here</html>"
    login, step = api(world, server.base_url, KEY)
    assert isinstance(step, Ask) and step.title == "Model"  # no list of models
    assert titles(answer(login, "m"))[1] == "Change the address"
    assert world.everything() == {}


@pytest.mark.parametrize("status", [400, 402, 422])
def test_an_error_that_is_not_about_the_key_proves_it(
    world: World, server: FakeModelServer, status: int
) -> None:
    """Some models take no ``max_tokens``, and some accounts have no money left."""
    server.models = []
    login, _ = api(world, server.base_url, KEY)
    server.status, server.error_body = status, b'{"error": {"message": "unsupported"}}'
    assert isinstance(answer(login, "m"), Saved)


def test_a_stop_in_the_middle_of_the_check_changes_nothing(
    world: World, server: FakeModelServer
) -> None:
    login, step = api(world, server.base_url)
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        login.answer(KEY, stop)
    assert login.step == step
    assert titles(answer(login, KEY)) == server.models


# -- names ----------------------------------------------------------------------------------------


def first_login(world: World, server: FakeModelServer) -> None:
    login, _ = api(world, server.base_url, KEY)
    assert isinstance(answer(login, "big"), Saved)


def test_another_endpoint_of_the_same_name_keeps_the_first(
    world: World, server: FakeModelServer
) -> None:
    first_login(world, server)
    other = FakeModelServer()
    other.accepts, other.models = {OTHER}, ["only"]
    login, step = api(world, other.base_url, OTHER)
    other.close()
    assert titles(step) == [
        "Keep it, and save this one as 127.0.0.1-2",
        "Replace 127.0.0.1",
        "Another name",
    ]
    assert isinstance(answer(login, "keep"), Saved)
    assert set(world.saved()["profiles"]) == {"127.0.0.1", "127.0.0.1-2"}
    assert (world.key("127.0.0.1"), world.key("127.0.0.1-2")) == (KEY, OTHER)


def test_another_key_for_the_same_endpoint_is_asked_about(
    world: World, server: FakeModelServer
) -> None:
    first_login(world, server)
    login, step = api(world, server.base_url, OTHER, "big")
    assert titles(step)[0] == "Replace 127.0.0.1"
    assert isinstance(step, Pick) and "…cdef" in step.options[0].detail
    assert world.key("127.0.0.1") == KEY
    assert isinstance(answer(login, "replace"), Saved)
    assert world.key("127.0.0.1") == OTHER


def test_the_same_key_again_is_no_question(world: World, server: FakeModelServer) -> None:
    first_login(world, server)
    _, step = api(world, server.base_url, KEY, "coder-small")
    assert isinstance(step, Saved)
    assert world.saved()["profiles"]["127.0.0.1"]["model"] == "coder-small"


def test_a_name_of_ones_own(world: World, server: FakeModelServer) -> None:
    first_login(world, server)
    login, _ = api(world, server.base_url, OTHER, "big", "other")
    for taken in ("127.0.0.1", "-x", "qwen-oauth"):
        assert problem(answer(login, taken)).message
    assert isinstance(answer(login, "lab"), Saved)
    assert world.saved()["current"] == "lab"


def test_a_key_after_a_sign_in_has_a_name_of_its_own(world: World, server: FakeModelServer) -> None:
    """Both made in one process, one after the other."""
    store_sign_in(world.home.parent, "http://127.0.0.1:9/v1", expires_in_s=3600)
    login, _ = api(world, server.base_url, KEY)
    saved = answer(login, "big")
    assert isinstance(saved, Saved) and saved.profile == "127.0.0.1"
    assert open_store(login_ref(world.config.paths, "qwen-oauth")).load()


# -- back, and failures ---------------------------------------------------------------------------


def test_every_step_can_be_taken_back_without_asking_the_network_again(
    world: World, server: FakeModelServer
) -> None:
    login = world.choices().begin("openai")
    steps = [login.step]
    for text in ("custom", server.base_url, KEY):
        login.answer(text, Stop())
        steps.append(login.step)
    asked = len(server.requests)
    for step in reversed(steps[:-1]):
        assert login.back()
        assert login.step == step
    assert not login.back()
    assert len(server.requests) == asked
    assert isinstance(answer(login, "custom", server.base_url, KEY, "big"), Saved)


def test_going_back_over_a_failure_does_not_change_the_way_there(
    world: World, server: FakeModelServer
) -> None:
    """What failed before may succeed when it is asked again, and lead to another step."""
    server.status = 503
    login, _ = api(world, server.base_url, KEY)
    server.status = 200
    listed = answer(login, "again")
    assert titles(listed) == server.models
    named = answer(login, "big")
    assert isinstance(named, Saved)


def test_going_back_asks_about_another_key(world: World, server: FakeModelServer) -> None:
    login, _ = api(world, server.base_url, KEY)
    assert login.back()
    assert isinstance(login.step, Ask) and login.step.is_secret
    step = answer(login, "sk-bad-0123456789")
    assert isinstance(problem(step), CredentialRejected)


ENDS: dict[str, Callable[[FakeModelServer, str], tuple[str, ...]]] = {
    "bad key": lambda server, gone: ("custom", server.base_url, "sk-bad-0123456789"),
    "no address": lambda server, gone: ("custom", "nowhere"),
    "unreachable": lambda server, gone: ("custom", gone, KEY),
    "left at the model": lambda server, gone: ("custom", server.base_url, KEY),
    "left at the name": lambda server, gone: ("custom", server.base_url, OTHER, "big"),
}


@pytest.mark.parametrize("texts", ENDS.values(), ids=ENDS)
def test_the_login_before_stays_in_use_until_a_new_one_is_saved(
    world: World, server: FakeModelServer, gone: str, texts: Any
) -> None:
    first_login(world, server)
    before = world.everything()
    login = world.choices().begin("openai")
    step = answer(login, *texts(server, gone))
    assert not isinstance(step, Saved)
    assert world.everything() == before


def test_what_cannot_be_saved_leaves_the_step(
    world: World, server: FakeModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    login, step = api(world, server.base_url, KEY)

    def full(*_: object, **__: object) -> None:
        raise ConfigError("cannot write it: No space left on device")

    monkeypatch.setattr("qwen_code.wiring.login_choices.save_login", full)
    with pytest.raises(ConfigError, match="No space"):
        login.answer("big", Stop())
    assert login.step == step
    monkeypatch.undo()
    assert isinstance(answer(login, "big"), Saved)


# -- the embedded model ---------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [SMALL, LARGE])
def test_the_embedded_model_is_downloaded_before_it_is_chosen(world: World, weights: Any) -> None:
    login = world.choices().begin("local")
    assert len(titles(login.step)) == 2
    step = answer(login, weights.name)
    assert step == Download(weights)
    assert world.everything() == {}
    saved = answer(login, "")
    assert isinstance(saved, Saved) and saved.method == "local"


def test_node_qwen_code_does_not_see_a_method_that_it_does_not_know(
    world: World, server: FakeModelServer
) -> None:
    first_login(world, server)
    put_sparse(WeightStore(world.home / "models"), SMALL)
    assert isinstance(world.choices().begin("local").step, Saved)
    assert world.settings() == {
        "security": {"auth": {"selectedType": "openai"}},
        "qwen_code": {"auth": {"selectedType": "local"}},
    }
    assert isinstance(world.choices().begin("saved:127.0.0.1").step, Saved)
    assert "local" not in json.dumps(world.settings())


# -- saved logins and running servers -------------------------------------------------------------


def test_a_saved_login_is_used_at_once(world: World, server: FakeModelServer) -> None:
    first_login(world, server)
    login, _ = api(world, server.base_url, OTHER, "big")
    answer(login, "keep")
    saved = world.choices().begin("saved:127.0.0.1").step
    assert isinstance(saved, Saved) and world.saved()["current"] == "127.0.0.1"
    with pytest.raises(QwenError):
        world.choices().begin("saved:nobody")


def test_a_server_on_this_machine_needs_a_model_and_no_key(world: World) -> None:
    world.found = [FoundServer("LM Studio", "http://127.0.0.1:1/v1", ("a", "b"))]
    choices = world.choices()
    login = choices.begin("server:http://127.0.0.1:1/v1")
    assert titles(login.step) == ["a", "b"]
    saved = answer(login, "b")
    assert isinstance(saved, Saved) and saved.profile == "lm-studio"


# -- Qwen OAuth -----------------------------------------------------------------------------------


def signed_in(world: World, base_url: str, name: str = "qwen-oauth") -> None:
    """What a front does when it is told to approve."""
    token = Token(Secret("at-0123456789"), resource_url=base_url, is_pinned=True)
    open_store(login_ref(world.config.paths, name)).save(document_of(token))


def test_a_sign_in_is_approved_by_the_front_and_needs_nothing_more(
    world: World, server: FakeModelServer
) -> None:
    server.models, server.accepts = ["coder-model", "x"], {"at-0123456789"}
    login = world.choices().begin("qwen-oauth")
    assert isinstance(login.step, Approve) and login.step.sign_in.profile == "qwen-oauth"
    signed_in(world, server.base_url)
    saved = answer(login, "")
    assert isinstance(saved, Saved) and saved.profile == "qwen-oauth"
    assert not login.back()


def test_an_endpoint_without_the_usual_model_is_asked_for_another(
    world: World, server: FakeModelServer
) -> None:
    server.accepts = {"at-0123456789"}
    login = world.choices().begin("qwen-oauth")
    signed_in(world, server.base_url)
    assert titles(answer(login, "")) == server.models
    assert not login.back()  # an approval is not taken back
    assert isinstance(answer(login, "big"), Saved)
    assert world.saved()["profiles"]["qwen-oauth"]["model"] == "big"


def test_an_endpoint_that_cannot_be_asked_does_not_cost_the_sign_in(
    world: World, gone: str
) -> None:
    login = world.choices().begin("qwen-oauth")
    signed_in(world, gone)
    assert isinstance(answer(login, ""), Saved)


def test_a_second_account_has_a_name_of_its_own(world: World, gone: str) -> None:
    store_sign_in(world.home.parent, gone, expires_in_s=3600)
    before = world.everything()
    login = world.choices().begin("qwen-oauth")
    assert titles(login.step) == ["Sign in again", "Another account"]
    step = answer(login, "other")
    assert isinstance(step, Ask)
    step = answer(login, "home")
    assert isinstance(step, Approve) and step.sign_in.profile == "home"
    assert world.everything() == before


# -- search ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("coder", ["a/Coder", "a/coder-30b", "b/coder-480b"]),
        ("CODER 480", ["b/coder-480b"]),
        ("30b a", ["a/coder-30b"]),
        ("zzz", []),
        ("", ["c/chat", "a/Coder", "a/coder-30b", "b/coder-480b"]),
    ],
)
def test_models_are_found_by_parts_of_their_names(text: str, found: list[str]) -> None:
    assert near_first(["b/coder-480b", "a/coder-30b", "c/chat", "a/Coder"], text) == found


def test_a_key_that_cannot_be_used_can_be_replaced(world: World, server: FakeModelServer) -> None:
    """The hint of such a key is to save it again."""
    server.models = ["only"]
    api(world, server.base_url, KEY)
    raw = world.saved()
    raw["profiles"]["127.0.0.1"]["baseUrl"] = "https://other.example/v1"
    (world.home / "profiles.json").write_text(json.dumps(raw))
    login, step = api(world, server.base_url, OTHER)
    assert isinstance(step, Pick) and "replace" in [option.key for option in step.options]
    assert isinstance(answer(login, "replace"), Saved)
    assert world.key("127.0.0.1") == OTHER
