from __future__ import annotations

import pytest

from qwen_code.base.secret import Secret, redact
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.masks import refuse_masks, unmasked

KEY = "sk-canary-masks-0123456789"


@pytest.fixture(autouse=True)
def mask() -> str:
    Secret(KEY)
    return redact(KEY)


def test_a_mask_goes_back_where_its_secret_is(mask: str) -> None:
    assert unmasked(f"A={mask}\nB={mask}", "f", f"X={KEY}") == f"A={KEY}\nB={KEY}"
    assert unmasked("no mask", "f", "") == "no mask"


@pytest.mark.parametrize("before", ["", "other", KEY[:-1]])
def test_it_goes_nowhere_else(mask: str, before: str) -> None:
    with pytest.raises(ToolFailed, match=r"secret that is not in notes\.md"):
        unmasked(f"A={mask}", "notes.md", before)


def test_commands_have_none(mask: str) -> None:
    refuse_masks("echo '[secret]' '[secret:N]'")
    with pytest.raises(ToolFailed, match="only edit and write_file"):
        refuse_masks(f"echo {mask}")
