from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from emulator_process import EmulatorProcess

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def post() -> Callable[..., tuple[int, bytes]]:
    def send(emulator: EmulatorProcess, path: str, **form: str) -> tuple[int, bytes]:
        return emulator.send("POST", path, urlencode(form).encode(), FORM)

    return send
