"""The table of Node Qwen Code's names, as data: what covers what, and what a file has no use for."""

from __future__ import annotations

import pytest

from qwen_code.config.node_names import Verdict, find, settings_without_effect, without_effect


@pytest.mark.parametrize(
    ("section", "name", "kind"),
    [
        ("settings", "tools.core", "yes"),
        ("settings", "ui.theme", "no"),
        ("settings", "ui", "no"),
        ("settings", "telemetry.enabled", "said"),
        ("settings", "telemetry.target", "no"),
        ("settings", "tools.executionSandbox.network", "yes"),
        ("settings", "mcpServers.*.tcp", "closed"),
        ("settings", "mcpServers.*.oauth.clientId", "yes"),
        ("settings", "mcpServers.*.oauth.tokenUrl", "no"),
        ("flags", "--telemetry-target", "no"),
        ("flags", "--acp", "closed"),
        ("commands", "mcp add --description", "no"),
        ("commands", "extensions install --ref", "no"),
        ("slash commands", "stats model", "no"),
        ("slash commands", "stats", "yes"),
        ("variables", "QWEN_SERVE_DEBUG", "no"),
        ("tools", "omni_clip_video", "no"),
    ],
)
def test_the_nearest_verdict_counts(section: str, name: str, kind: str) -> None:
    verdict = find(section, name)  # type: ignore[arg-type]
    assert verdict is not None
    assert verdict.kind == kind


@pytest.mark.parametrize("name", ["uix", "tool.core", "tools.cores", "", "permission"])
def test_another_name_has_no_verdict(name: str) -> None:
    assert find("settings", name) is None


@pytest.mark.parametrize(
    ("verdict", "name", "is_covered"),
    [
        (Verdict("no", "a.b"), "a.b", True),
        (Verdict("no", "a.b"), "a.b.c", False),
        (Verdict("no", "a.b", covers_below=True), "a.b.c", True),
        (Verdict("no", "a.b", covers_below=True), "a.bc", False),
        (Verdict("no", "a b", covers_below=True), "a b --c", True),
        (Verdict("no", "A_", covers_below=True), "A_B", True),
        (Verdict("no", "", covers_below=True), "anything", True),
    ],
)
def test_what_a_verdict_covers(verdict: Verdict, name: str, is_covered: bool) -> None:
    assert verdict.covers(name) is is_covered


def test_settings_without_effect_are_found_where_they_are() -> None:
    tree = {
        "ui": {"theme": "Dracula"},
        "tools": {"core": ["read_file"], "discoveryCommand": "make tools", "eager": []},
        "telemetry": {"enabled": True, "target": "local"},
        "mcpServers": {"docs": {"command": "docs", "alwaysLoadTools": True}},
        "mine": {"left": "alone"},
    }
    found = {".".join(each.path): each.is_said for each in settings_without_effect(tree)}
    assert found == {
        "ui.theme": False,
        "tools.discoveryCommand": True,
        "tools.eager": False,
        "telemetry.enabled": True,
        "telemetry.target": False,
        "mcpServers.docs.alwaysLoadTools": False,
    }


@pytest.mark.parametrize(
    ("value", "is_said"), [(False, True), (True, False), ("false", False), (None, False)]
)
def test_a_value_that_changes_nothing_is_not_said(value: object, is_said: bool) -> None:
    [found] = settings_without_effect({"model": {"skipLoopDetection": value}})
    assert found.is_said is is_said


@pytest.mark.parametrize(
    "tree", [{}, {"ui": None}, {"model": "qwen3"}, {"tools": ["a"]}, {"hooks": 1}]
)
def test_any_shape_can_be_looked_at(tree: dict[str, object]) -> None:
    assert all(not each.is_said for each in settings_without_effect(tree))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ui.theme", "ui"),
        ("ide", "ide"),
        ("telemetry.enabled", "telemetry.enabled"),
        ("mcpServers.docs.alwaysLoadTools", "mcpServers.*.alwaysLoadTools"),
        ("tools.core", None),
        ("general", None),
        ("mine.left", None),
    ],
)
def test_the_verdict_on_a_setting_without_effect(name: str, expected: str | None) -> None:
    verdict = without_effect(name)
    assert (verdict.name if verdict else None) == expected
