"""Words that are meant as a command are not sent to a model; a sentence is a prompt."""

from __future__ import annotations

import pytest

from qwen_code.base.errors import UsageError
from qwen_code.cli.app import cli
from qwen_code.cli.near_commands import check_is_prompt


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("auht login", "qwen auth login"),
        ("atuh", "qwen auth"),
        ("auth-login", ""),
        ("permission list", "qwen permissions list"),
        ("permisions lst", "qwen permissions list"),
        ("session list", "qwen sessions list"),
        ("sesions", "qwen sessions"),
        ("hook", "qwen hooks"),
        ("mpc add", "qwen mcp add"),
        ("mcps list", "qwen mcp list"),
        ("loca serve", "qwen local serve"),
        ("lcoal pull", "qwen local pull"),
        ("checkpoint", "qwen checkpoints"),
        ("emulater", "qwen emulator"),
        ("completions bash", "qwen completion bash"),
        ("Login", "qwen auth login"),
        ("logout", "qwen auth logout"),
        ("logout --all", "qwen auth logout"),
        ("login --method openai", "qwen auth login"),
        ("status", "qwen auth status"),
        ("whoami", "qwen auth status"),
        ("doctor", "qwen auth doctor"),
        ("token", "qwen auth token"),
        ("resume", "qwen --resume"),
        ("undo", "qwen --undo"),
        ("help", "qwen --help"),
        ("version", "qwen --version"),
        ("upgrade", "qwen update"),
        ("settings", "qwen config"),
        ("config sett a b", "qwen config set"),
        ("config add a b", "qwen config"),
        ("models list", "-m"),
        ("models list", "/model"),
        ("init", 'qwen "/init"'),
    ],
)
def test_what_is_like_a_command(line: str, meant: str) -> None:
    if not meant:
        check_is_prompt(line.split(), cli)
        return
    with pytest.raises(UsageError) as caught:
        check_is_prompt(line.split(), cli)
    assert "is not a command of qwen" in caught.value.message
    assert meant in (caught.value.hint or "")
    assert f'qwen -p "{line}"' in (caught.value.hint or "")


@pytest.mark.parametrize(
    "line",
    [
        "hello",
        "fix it",
        "help me with this",
        "update the readme",
        "why is this slow",
        "run the tests",
        "status of the build please",
        "session cookies are lost",
        "hook up the parser",
        "author list",
        "what does main.py do",
        "login does not work",
        "config loader crashes",
        "résumé",
        "model the data",
        "review",
        "explain main.py",
    ],
)
def test_a_sentence_is_a_prompt(line: str) -> None:
    check_is_prompt(line.split(), cli)


def test_a_quoted_prompt_is_never_a_command() -> None:
    check_is_prompt(["auht login"], cli)
    check_is_prompt(["status", "of the build"], cli)


@pytest.mark.parametrize("word", ["why", "explain", "check", "review", "run", "status"])
def test_a_word_about_what_is_piped_in_is_a_prompt(word: str) -> None:
    check_is_prompt([word], cli, has_input=True)


@pytest.mark.parametrize("line", ["login", "logout --all", "update", "auht login", "sesions list"])
def test_what_is_never_a_prompt(line: str) -> None:
    with pytest.raises(UsageError):
        check_is_prompt(line.split(), cli, has_input=True)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("extensions list", "there are no extensions"),
        ("extensions install x --ref main", "there are no extensions"),
        ("serve", "there is no daemon"),
        ("serve --port 80", "there is no daemon"),
        ("board", "no agent board"),
        ("sandbox --cmd", "--sandbox"),
        ("sandbox -- sh -c 'ls /'", "--sandbox"),
        ("extensions disable x --scope=workspace", "there are no extensions"),
        ("extensions settings set an-extension a-setting --scope user", "there are no extensions"),
        ("channel pairing approve my-channel CODE", "no chat channels"),
        ("channel start", "no chat channels"),
        ("board ask web does the client parse status as text", "no agent board"),
        ("review run 123 --json", "/review"),
        ("review fetch-pr 1 a/b", "/review"),
    ],
)
@pytest.mark.parametrize("has_input", [False, True])
def test_commands_of_node_qwen_code_say_what_to_do(
    line: str, said: str, *, has_input: bool
) -> None:
    with pytest.raises(UsageError) as caught:
        check_is_prompt(line.split(), cli, has_input=has_input)
    assert said in caught.value.message
    assert f'qwen -p "{line}"' in (caught.value.hint or "")


@pytest.mark.parametrize(
    "line",
    [
        *("extensions of this class", "serve the files", "sandbox escapes", "review"),
        *("review main", "review the changes", "review --effort", "board the windows up"),
    ],
)
def test_sentences_with_such_a_word_are_prompts(line: str) -> None:
    check_is_prompt(line.split(), cli)
