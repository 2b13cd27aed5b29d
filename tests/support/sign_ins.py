"""A stored sign-in, as ``oauth_creds.json`` has it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any


def store_sign_in(home: Path, resource_url: str, *, expires_in_s: float, **changed: Any) -> None:
    """Write the file below ``home``; a field that is changed to ``None`` is left out."""
    creds = {
        "access_token": "access-0123456789",
        "refresh_token": "refresh-0123456789",
        "token_type": "Bearer",
        "resource_url": resource_url,
        "expiry_date": round((time.time() + expires_in_s) * 1000),
        **changed,
    }
    file = home / ".qwen" / "oauth_creds.json"
    file.parent.mkdir(mode=0o700, parents=True)
    file.write_text(json.dumps({name: value for name, value in creds.items() if value}))
    file.chmod(0o600)
