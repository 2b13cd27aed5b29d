"""Cases of which few run with every change: each starts Node, or a real model, for seconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def mostly_long(cases: Iterable[Any], *, every: int = 6) -> list[Any]:
    """Every sixth case, the first included, and the others for long runs."""
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=[pytest.mark.long] if number % every else [],
        )
        for number, case in enumerate(cases)
    ]
