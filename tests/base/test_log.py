from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwen_code.base import log
from qwen_code.base.secret import Secret


@pytest.fixture(autouse=True)
def closed_again() -> Iterator[None]:
    yield
    if log._file is not None:
        log._file.close()
        log._file = None


def test_nothing_is_written_until_it_is_asked_for(tmp_path: Path) -> None:
    log.debug("event", some="thing")
    assert not (tmp_path / "logs").exists()


def test_events_are_written_without_secrets(tmp_path: Path) -> None:
    path = log.enable_debug_log(tmp_path / "logs")
    log.debug("request", header=f"Bearer {Secret('canary-log-123456').reveal()}", text="two\nlines")
    content = path.read_text()
    assert "request header=Bearer [secret:" in content and "canary" not in content
    assert "text=two\n    lines\n" in content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
