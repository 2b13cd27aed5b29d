"""Which faults there are, how they are set, and which request each one meets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_emulator.answers import LateAnswer, NoAnswer
from qwen_emulator.faults import FAULTS, KINDS, Faults

BODY = {"access_token": "at-1", "refresh_token": "rt-1", "resource_url": "u", "expires_in": 3600}


def taken(faults: Faults, kind: str) -> str | None:
    """The fault that this request gets."""
    found = faults.take_instead(kind)
    return found[0] if found else faults.take_change(kind)


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_happens_once_with_each_kind_that_it_concerns(name: str) -> None:
    faults = Faults()
    for kind in KINDS:
        faults.clear()
        faults.set(name)
        expected = name if kind in FAULTS[name].kinds else None
        assert [taken(faults, kind), taken(faults, kind)] == [expected, None]


def test_a_count_and_always() -> None:
    faults = Faults()
    faults.set("reset:2, error_500:always")
    assert [taken(faults, "chat") for _ in range(5)] == ["reset", "reset", *["error_500"] * 3]


def test_a_kind_of_request_can_be_named() -> None:
    faults = Faults()
    faults.set("reset@revoke,hang@metadata:2")
    assert [taken(faults, kind) for kind in ("poll", "refresh", "chat", "device")] == [None] * 4
    assert [taken(faults, "metadata") for _ in range(3)] == ["hang", "hang", None]
    assert [taken(faults, "revoke") for _ in range(2)] == ["reset", None]


def test_one_fault_for_two_kinds_is_counted_for_each() -> None:
    faults = Faults()
    faults.set("reset@poll,reset@chat:2")
    assert [taken(faults, kind) for kind in ("chat", "poll", "chat", "poll")] == [
        *("reset", "reset", "reset"),
        None,
    ]


def test_what_changes_a_good_answer_waits_for_one() -> None:
    faults = Faults()
    faults.set("created,pending")
    assert faults.take_instead("poll") is not None  # pending: not a good answer
    assert faults.take_instead("poll") is None
    assert faults.take_change("poll") == "created"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nonsense", "unknown fault 'nonsense'. Use one of: error_500,"),
        ("reset,nonsense", "unknown fault 'nonsense'"),
        ("", "unknown fault ''"),
        ("denied@chat", "denied does not affect 'chat'. Use one of: poll"),
        ("reset@", "reset does not affect ''"),
        ("reset:0", "'0' is not a count"),
        ("reset:-1", "'-1' is not a count"),
        ("reset:", "'' is not a count"),
        ("reset:often", "'often' is not a count"),
    ],
)
def test_a_spec_that_is_wrong_sets_nothing(spec: str, said: str) -> None:
    faults = Faults()
    with pytest.raises(ValueError, match=said):
        faults.set(spec)
    assert taken(faults, "chat") is None


@given(st.text(max_size=20))
def test_any_spec_is_taken_or_refused(spec: str) -> None:
    try:
        Faults().set(spec)
    except ValueError as error:
        assert str(error)


def test_a_changed_answer_is_a_good_one_but_for_the_change() -> None:
    def changed(name: str) -> tuple[int, bytes]:
        change = FAULTS[name].change
        assert change
        answer = change(BODY)
        return answer.status_code, bytes(answer.body)

    assert changed("created") == (201, json.dumps(BODY, separators=(",", ":")).encode())
    status, body = changed("bom")
    assert status == 200 and json.loads(body.decode("utf-8-sig")) == BODY
    assert body.startswith(b"\xef\xbb\xbf{")
    status, body = changed("too_large")
    assert len(body) > 1 << 20 and json.loads(body)["access_token"] == "at-1"
    assert json.loads(changed("bad_resource_url")[1])["resource_url"].startswith("http://")


def test_answers_that_come_late_or_never() -> None:
    for name in ("reset", "hang"):
        found = FAULTS[name].instead
        assert found and isinstance(found(), NoAnswer)
    for name in ("slow_poll", "slow_refresh"):
        change = FAULTS[name].change
        assert change and isinstance(change(BODY), LateAnswer)


def test_the_documentation_lists_every_fault() -> None:
    def concerned(kinds: tuple[str, ...]) -> str:
        return "all" if kinds == KINDS else ", ".join(f"`{kind}`" for kind in kinds)

    page = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text()
    listed = [line for line in page.splitlines() if line.startswith("| `") and line.count("|") == 4]
    rows = [f"| `{n}` | {concerned(f.kinds)} | {f.description} |" for n, f in FAULTS.items()]
    assert [line for line in listed if line.split("`")[1] in FAULTS] == rows
