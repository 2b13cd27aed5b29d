from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from qwen_code.auth.resolver import resolve
from qwen_code.auth.types import Resolution
from qwen_code.config.load import Config
from qwen_code.wiring.launch import Launch
from qwen_code.wiring.reports.explain import explain_data, explain_in_words

KEY = "sk-report-0123456789abcdef"


Found = tuple[Config, Resolution]


def find(tmp_path: Path, **environ: str) -> Found:
    launch = Launch(cwd=tmp_path, environ={"HOME": str(tmp_path / "home"), **environ})
    config = launch.config(lambda _: None)
    return config, resolve(launch.inputs(config, lambda _: None))


def connected(tmp_path: Path) -> Found:
    return find(
        tmp_path,
        LLAMA_API_KEY=KEY,
        LLAMA_API_BASE_URL="https://host.example/v1",
        LLAMA_API_MODEL="m",
    )


def test_every_field_and_the_result_in_words(tmp_path: Path) -> None:
    said = explain_in_words(*connected(tmp_path))
    assert said.endswith("Result: openai · https://host.example/v1 · m")
    for field in ("method", "base_url", "api_key", "model"):
        assert f"\n{field}\n" in f"\n{said}\n"
    assert "LLAMA_API_KEY" in said


def test_it_is_painted_by_the_front_and_not_here(tmp_path: Path) -> None:
    found = connected(tmp_path)
    assert "\x1b" not in explain_in_words(*found)
    assert "<32>" in explain_in_words(*found, lambda text, code: f"<{code}>{text}")


def test_the_same_as_data(tmp_path: Path) -> None:
    data = msgspec.json.decode(msgspec.json.encode(explain_data(*connected(tmp_path))))
    assert data["connection"]["base_url"] == "https://host.example/v1"
    assert data["error"] is None
    chosen = [c for f in data["fields"] for c in f["candidates"] if c["status"] == "chosen"]
    assert "LLAMA_API_KEY" in [candidate["name"] for candidate in chosen]


def test_without_a_connection_it_says_why(tmp_path: Path) -> None:
    found = find(tmp_path, LLAMA_API_BASE_URL="https://host.example/v1")
    assert "No connection: " in explain_in_words(*found)
    data = explain_data(*found)
    assert data["connection"] is None
    assert data["error"]


def test_no_form_has_the_key(tmp_path: Path) -> None:
    found = connected(tmp_path)
    assert KEY not in explain_in_words(*found)
    assert KEY.encode() not in msgspec.json.encode(explain_data(*found))


# -- the .env file --------------------------------------------------------------------------------


def places(tmp_path: Path, cwd: Path, **environ: str) -> tuple[str, dict[str, Any]]:
    """The block of the report about ``.env``, in words and as data; ``~`` is the home directory."""
    launch = Launch(cwd=cwd, environ={"HOME": str(tmp_path / "home"), **environ})
    config = launch.config(lambda _: None)
    found = resolve(launch.inputs(config, lambda _: None))
    data: Any = explain_data(config, found)["env_files"]
    return explain_in_words(config, found).split("\n\n.env\n")[1], data


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_every_place_is_listed_and_what_is_hidden_by_the_first_file(tmp_path: Path) -> None:
    """One unrelated line in a project's file hides everything in that of the home directory."""
    project = tmp_path / "work" / "project"
    write(project / ".env", "UNRELATED=1\n")
    write(tmp_path / "home" / ".qwen" / ".env", f"LLAMA_API_KEY={KEY}\n")
    words, data = places(tmp_path, project)
    status = {each["path"]: each["status"] for each in data["places"]}
    assert status[str(project / ".qwen" / ".env")] == "absent"
    assert status[str(project / ".env")] == "taken"
    assert status[str(tmp_path / "work" / ".env")] == "absent"
    assert status[str(tmp_path / "home" / ".qwen" / ".env")] == "skipped"
    assert status[str(tmp_path / "home" / ".env")] == "absent"
    assert list(status) == [each["path"] for each in data["places"]]  # no place twice
    assert f"skipped   {tmp_path / 'home' / '.qwen' / '.env'}" in words
    assert KEY not in words


def test_what_was_dropped_or_overridden_is_said_with_its_line(tmp_path: Path) -> None:
    project = tmp_path / "work"
    lines = ["DEBUG=1", f"LLAMA_API_KEY={KEY}", "LLAMA_API_MODEL=theirs", "HTTPS_PROXY=x", "OWN="]
    write(project / ".env", "\n".join(lines))
    words, data = places(tmp_path, project, LLAMA_API_MODEL="mine")
    found = {each["name"]: (each["status"], each["line"]) for each in data["variables"]}
    assert found == {
        "DEBUG": ("excluded", 1),
        "LLAMA_API_KEY": ("usable", 2),
        "LLAMA_API_MODEL": ("overridden", 3),
        "HTTPS_PROXY": ("untrusted", 4),
        "OWN": ("empty", 5),
    }
    assert "dropped    DEBUG, line 1 (" in words and "overridden LLAMA_API_MODEL, line 3" in words
    assert KEY not in words and KEY not in str(data)


def test_a_broken_line_is_said_here_too(tmp_path: Path) -> None:
    write(tmp_path / "work" / ".env", "LLAMA_API_KEY\n")
    words, data = places(tmp_path, tmp_path / "work")
    assert ".env:1" in words and len(data["problems"]) == 1


def test_a_directory_of_that_name_is_absent(tmp_path: Path) -> None:
    (tmp_path / "work" / ".env").mkdir(parents=True)
    _, data = places(tmp_path, tmp_path / "work")
    assert {each["status"] for each in data["places"]} == {"absent"}
