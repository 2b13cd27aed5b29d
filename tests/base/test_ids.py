from __future__ import annotations

import re

from qwen_code.base.ids import new_uuid


def test_ids_are_version_4() -> None:
    ids = {new_uuid() for _ in range(100)}
    assert len(ids) == 100
    form = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert all(form.fullmatch(each) for each in ids)
