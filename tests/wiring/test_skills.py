"""Which skills a session has: places, precedence, trust, settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from qwen_code.config.load import Config
from qwen_code.config.settings import has_definitions
from qwen_code.config.trust import TrustStore
from qwen_code.wiring.skills import find_skills

Found = Callable[..., list[tuple[str, str]]]


class Places:
    """A home and a project in it, with a directory below."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.project = self.home / "work" / "project"
        self.below = self.project / "packages" / "app"
        self.below.mkdir(parents=True)
        (self.project / ".git").mkdir()

    def skill(self, place: Path, name: str, description: str = "d", more: str = "") -> Path:
        folder = place / name
        folder.mkdir(parents=True)
        path = folder / "SKILL.md"
        path.write_text(f"---\nname: {name}\ndescription: {description}\n{more}---\nDo it.\n")
        return path

    def settings(self, **skills: object) -> None:
        path = self.home / ".qwen" / "settings.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"skills": skills}))

    def config(self, cwd: Path | None = None) -> Config:
        return Config.load({"HOME": str(self.home)}, cwd or self.below)

    def trust_all(self) -> None:
        config = self.config()
        for each in find_skills(config, lambda _: None):
            if each.definition.project:
                TrustStore.load(config.paths).trust_definition(each.definition.project, each.digest)

    def offered(self, cwd: Path | None = None) -> dict[str, str]:
        """The description of each skill that a session has."""
        found = find_skills(self.config(cwd), lambda _: None)
        return {e.definition.name: e.definition.description for e in found if e.is_offered}


def has_skills(places: Places) -> bool:
    config = places.config()
    return has_definitions(config.paths, config.settings, "skills")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def test_where_there_are_none_nothing_is_looked_at(places: Places) -> None:
    assert not has_skills(places)
    assert find_skills(places.config(), lambda _: None) == []
    (places.project / ".agents" / "skills").mkdir(parents=True)
    assert has_skills(places)


@pytest.mark.parametrize("place", [".qwen/skills", ".agents/skills"])
def test_the_users_own_count_everywhere(places: Places, place: str) -> None:
    places.skill(places.home / place, "mine")
    assert places.offered() == {"mine": "d"}
    assert places.offered(places.home) == {"mine": "d"}


@pytest.mark.parametrize("place", [".qwen/skills", ".agents/skills"])
@pytest.mark.parametrize("level", ["", "packages", "packages/app"])
def test_a_projects_count_up_to_its_root_once_they_are_trusted(
    places: Places, place: str, level: str
) -> None:
    places.skill(places.project / level / place, "theirs")
    places.skill(places.home / "work" / ".qwen" / "skills", "above")
    assert places.offered() == {}
    places.trust_all()
    assert places.offered() == {"theirs": "d"}


def test_the_nearest_of_the_same_name_comes_first(places: Places) -> None:
    for number, place in enumerate(
        [
            places.below / ".qwen" / "skills",
            places.below / ".agents" / "skills",
            places.project / ".qwen" / "skills",
            places.project / ".agents" / "skills",
            places.home / ".qwen" / "skills",
            places.home / ".agents" / "skills",
        ]
    ):
        places.skill(place, "same", f"number {number}")
    assert places.offered() == {"same": "number 4"}  # the user's: no other is trusted
    places.trust_all()
    assert places.offered() == {"same": "number 0"}
    hidden = [each.hidden_by for each in find_skills(places.config(), lambda _: None)]
    assert len([each for each in hidden if each]) == 5


def test_the_users_own_are_not_a_projects_where_home_is_the_project(places: Places) -> None:
    (places.home / ".git").mkdir()
    places.skill(places.home / ".qwen" / "skills", "mine")
    places.skill(places.home / ".agents" / "skills", "shared")
    assert places.offered(places.home) == {"mine": "d", "shared": "d"}


def _changes(places: Places, path: Path) -> dict[str, Callable[[], object]]:
    folder = path.parent
    return {
        "the text": lambda: path.write_text(path.read_text() + "And more.\n"),
        "a field": lambda: path.write_text(path.read_text().replace("d\n", "e\n", 1)),
        "a script": lambda: (folder / "run.sh").write_text("echo other\n"),
        "a new file": lambda: (folder / "new.md").write_text("x"),
        "a removed file": (folder / "run.sh").unlink,
        "a file in a folder": lambda: (folder / "refs" / "a.md").write_text("other"),
        "a renamed file": lambda: (folder / "run.sh").rename(folder / "run2.sh"),
        "a hidden file": lambda: (folder / ".hidden").write_text("x"),
        "a moved skill": lambda: folder.rename(folder.with_name("elsewhere")),
    }


@pytest.mark.parametrize("what", list(_changes(None, Path("x"))))  # type: ignore[arg-type]
def test_any_change_of_its_files_needs_trust_again(places: Places, what: str) -> None:
    path = places.skill(places.project / ".qwen" / "skills", "theirs")
    (path.parent / "run.sh").write_text("echo hi\n")
    (path.parent / "refs").mkdir()
    (path.parent / "refs" / "a.md").write_text("x")
    places.trust_all()
    assert places.offered() == {"theirs": "d"}
    _changes(places, path)[what]()
    assert places.offered() == {}


@pytest.mark.parametrize("what", ["outside", "nowhere", "too many", "too large"])
def test_what_cannot_be_checked_cannot_be_trusted(places: Places, what: str) -> None:
    folder = places.skill(places.project / ".qwen" / "skills", "theirs").parent
    if what == "outside":
        (places.home / "secret").write_text("x")
        (folder / "link").symlink_to(places.home / "secret")
    elif what == "nowhere":
        (folder / "link").symlink_to(folder / "missing")
    elif what == "too many":
        for number in range(501):
            (folder / str(number)).write_text("x")
    else:
        (folder / "large").write_bytes(b"x" * 21_000_000)
    [found] = find_skills(places.config(), lambda _: None)
    assert not found.is_trusted
    assert "cannot be read, or is more than can be trusted" in found.problem


@pytest.mark.parametrize(
    ("settings", "offered"),
    [
        ({}, {"a", "b"}),
        ({"disabled": ["a"]}, {"b"}),
        ({"disabled": [" A "]}, {"b"}),
        ({"disabled": "a"}, {"b"}),
        ({"defaultDisabled": ["a"]}, {"b"}),
        ({"defaultDisabled": ["a"], "enabled": ["A"]}, {"a", "b"}),
        ({"disabled": ["a"], "enabled": ["a"]}, {"b"}),
        ({"enabled": ["a"]}, {"a", "b"}),
        ({"disabledLevels": ["user"]}, set()),
        ({"disabledLevels": ["project", "bundled"]}, {"a", "b"}),
    ],
)
def test_settings_turn_skills_off(
    places: Places, settings: dict[str, object], offered: set[str]
) -> None:
    for name in ("a", "b"):
        places.skill(places.home / ".qwen" / "skills", name)
    places.settings(**settings)
    assert set(places.offered()) == offered


def test_a_project_can_turn_skills_off_and_never_on(places: Places) -> None:
    for name in ("a", "b"):
        places.skill(places.home / ".qwen" / "skills", name)
    places.settings(defaultDisabled=["a"])
    path = places.project / ".qwen" / "settings.json"
    path.parent.mkdir()
    theirs = {"enabled": ["a"], "disabled": ["b"], "directories": [str(places.project)]}
    path.write_text(json.dumps({"skills": theirs}))
    assert places.offered() == {}


def test_more_directories_of_the_user(places: Places) -> None:
    places.skill(places.home / "shared", "more")
    places.settings(directories=["~/shared", "~/missing"])
    assert has_skills(places)
    assert places.offered() == {"more": "d"}


def test_a_folder_that_is_not_trusted_has_none(places: Places) -> None:
    places.skill(places.project / ".qwen" / "skills", "theirs")
    places.skill(places.home / ".qwen" / "skills", "mine")
    places.trust_all()
    assert set(places.offered()) == {"theirs", "mine"}
    settings = {"security": {"folderTrust": {"enabled": True}}}
    (places.home / ".qwen" / "settings.json").write_text(json.dumps(settings))
    assert set(places.offered()) == {"mine"}
