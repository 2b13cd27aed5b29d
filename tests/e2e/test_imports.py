"""What a start costs is what it imports, so the lists are held here."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import qwen_code

SLOW = {
    *("argparse", "asyncio", "concurrent.futures", "dataclasses", "email", "getpass", "http"),
    *("httpcore", "httpx", "httpx2", "importlib.metadata", "logging"),
    *("multiprocessing", "openai", "pydantic", "rich", "segno", "shutil", "sqlite3"),
    *("ssl", "subprocess", "tempfile", "unittest", "urllib.request"),
    *("xml", "xllamacpp", "zipfile"),
}
THIRD_PARTIES = {
    *("click", "dotenv", "filelock", "msgspec", "pyreqwest", "qwen_code"),
    "typing_extensions",  # msgspec takes it where something else has installed it
}


def modules_after(code: str, **environ: str) -> set[str]:
    """Names of the modules that a fresh interpreter has after ``code``."""
    end = "\nimport sys as _s\nprint('\\n' + ' '.join(m for m in _s.modules))"
    path = [str(Path(qwen_code.__file__).parents[1]), *(p for p in sys.path if p)]
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {path!r}\n{code}{end}"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_the_version_needs_nothing_of_ours_but_main() -> None:
    code = (
        "sys.argv = ['qwen', '--version']\n"
        "from qwen_code.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass"
    )
    loaded = modules_after(code)
    assert {m for m in loaded if m.startswith("qwen_code")} == {
        *("qwen_code", "qwen_code.cli", "qwen_code.cli.main")
    }
    assert not loaded & SLOW


@pytest.fixture
def after_a_prompt(qwen: Any, server: Any) -> set[str]:
    """The modules of a real ``qwen -p`` that was answered."""
    code = (
        "sys.argv = ['qwen', '-p', 'hi']\n"
        "from qwen_code.cli.app import run\n"
        "assert run(sys.argv[1:]) == 0"
    )
    key = {"LLAMA_API_KEY": "sk-imports-0123", "LLAMA_API_BASE_URL": server.base_url}
    return modules_after(code, **{**qwen.environ, **key, "LLAMA_API_MODEL": "m"})


def test_a_prompt_imports_nothing_slow(after_a_prompt: set[str]) -> None:
    assert sorted(after_a_prompt & SLOW) == []


def test_a_prompt_without_hooks_imports_none_of_what_runs_them(after_a_prompt: set[str]) -> None:
    assert {m for m in after_a_prompt if "hooks" in m} == {"qwen_code.wiring.hooks"}


def test_a_prompt_imports_only_known_third_parties(after_a_prompt: set[str]) -> None:
    tops = {name.partition(".")[0] for name in after_a_prompt}
    assert sorted(tops - set(sys.stdlib_module_names) - THIRD_PARTIES - {"__main__"}) == []


def test_a_prompt_does_not_look_at_sessions_of_node(after_a_prompt: set[str]) -> None:
    assert [name for name in after_a_prompt if name.startswith("qwen_code.agent.node_")] == []


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("qwen_code", {"__version__"}),
        ("qwen_code.auth", {"Access", "connect"}),
    ],
)
def test_the_public_names_are_these(module: str, names: set[str]) -> None:
    public = import_module(module)
    assert set(public.__all__) == names
    assert all(getattr(public, name) for name in names)


def test_what_is_exported_exists_everywhere() -> None:
    root = Path(qwen_code.__file__).parent
    for path in root.rglob("*.py"):
        name = ".".join(["qwen_code", *path.relative_to(root).with_suffix("").parts])
        module = import_module(name.removesuffix(".__init__"))
        missing = [n for n in getattr(module, "__all__", ()) if not hasattr(module, n)]
        assert not missing, f"{name}: {missing}"


def test_the_importing_of_openai_waits_until_it_is_asked_for(qwen: Any) -> None:
    loaded = modules_after("from qwen_code.auth import connect", **qwen.environ)
    assert not loaded & {"openai", "httpx", "httpx2", "asyncio"}
