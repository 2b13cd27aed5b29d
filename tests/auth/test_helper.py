from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest
from fake_clock import FakeClock

from qwen_code.auth.helper import HelperKey, HelperSpec, parse_helper, run_helper
from qwen_code.base.errors import AuthError, ConfigError
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop


class FakeCommand:
    """Prints another key each time it is run."""

    def __init__(self, *outputs: str) -> None:
        self.outputs = list(outputs)
        self.runs = 0

    def __call__(self, command: Sequence[str], timeout_s: float, stop: Stop) -> str:
        self.runs += 1
        return self.outputs[min(self.runs, len(self.outputs)) - 1]


SPEC = HelperSpec(("pass", "show"), ttl_s=60)


def test_the_key_is_kept_for_its_time_to_live() -> None:
    clock, command = FakeClock(0.0), FakeCommand("key-1\n", "key-2\n")
    helper = HelperKey(SPEC, run_command=command, clock=clock)
    assert helper.current(Stop()) == helper.current(Stop()) == Secret("key-1")
    clock.time = 59.9
    assert helper.current(Stop()) == Secret("key-1")
    clock.time = 60
    assert helper.current(Stop()) == Secret("key-2") and command.runs == 2


def test_a_refused_key_is_fetched_again() -> None:
    helper = HelperKey(SPEC, run_command=FakeCommand("key-1", "key-2"), clock=FakeClock())
    assert helper.replace(helper.current(Stop()), Stop()) is True
    assert helper.current(Stop()) == Secret("key-2")


def test_the_same_key_again_is_no_replacement() -> None:
    helper = HelperKey(SPEC, run_command=FakeCommand("key-1"), clock=FakeClock())
    assert helper.replace(helper.current(Stop()), Stop()) is False


def test_a_key_that_was_already_replaced_is_not_fetched_again() -> None:
    command = FakeCommand("key-1", "key-2", "key-3")
    helper = HelperKey(SPEC, run_command=command, clock=FakeClock())
    old = helper.current(Stop())
    assert helper.replace(old, Stop()) and helper.replace(old, Stop())
    assert command.runs == 2


@pytest.mark.parametrize("output", ["", "\n", "two words", "line\nline", "bell\a"])
def test_what_is_no_key_is_an_error_that_does_not_quote_it(output: str) -> None:
    helper = HelperKey(SPEC, run_command=FakeCommand(output), clock=FakeClock())
    with pytest.raises(AuthError, match="did not print a key"):
        helper.current(Stop())


@pytest.mark.parametrize(
    ("value", "spec"),
    [
        (["a", "b"], HelperSpec(("a", "b"))),
        ({"command": ["a"], "timeoutSeconds": 5, "ttlSeconds": 0}, HelperSpec(("a",), 5, 0)),
    ],
)
def test_settings_describe_a_helper_in_two_ways(value: object, spec: HelperSpec) -> None:
    assert parse_helper(value, "x") == spec


@pytest.mark.parametrize(
    "value",
    [
        "pass show key",
        [],
        [""],
        [1],
        {"command": []},
        {"cmd": ["a"]},
        7,
        {"command": ["a"], "timeoutSeconds": 0},
    ],
)
def test_anything_else_is_an_error_with_its_place(value: object) -> None:
    with pytest.raises(ConfigError, match="settings.json:3") as caught:
        parse_helper(value, "security.auth.apiKeyHelper in settings.json:3")
    assert "apiKeyHelper" in (caught.value.hint or "")


def python(code: str, timeout_s: float = 10) -> str:
    return run_helper([sys.executable, "-c", code], timeout_s, Stop(), {"A": "b"})


@pytest.mark.process
def test_a_real_command_gets_no_shell_no_input_and_our_environment() -> None:
    code = "import os, sys; print(os.environ['A'], repr(sys.stdin.read()), sys.argv)"
    assert python(code) == "b '' ['-c']\n"


@pytest.mark.process
def test_failures_are_told_apart_and_quote_nothing() -> None:
    with pytest.raises(AuthError, match="exit code 3") as caught:
        python("import sys; print('canary-1'); print('canary-2', file=sys.stderr); sys.exit(3)")
    assert "canary" not in caught.value.message
    with pytest.raises(AuthError, match="within"):
        python("import time; time.sleep(30)", timeout_s=0.3)
    with pytest.raises(AuthError, match="cannot be started"):
        run_helper(["/does/not/exist"], 1, Stop(), {})
