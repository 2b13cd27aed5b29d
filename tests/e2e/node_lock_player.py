"""Plays Node Qwen Code with an expired token: its lock, its refresh, its way to write, its faults.

``python node_lock_player.py CREDS_FILE TOKEN_URL CLIENT_ID [--rejected]`` prints
``{"access_token": …, "refreshed": …}``, or ``{"error": …}`` and exits 1. ``--rejected`` plays a
server that answered 401: it then refreshes whatever it finds. After version 0.15.10.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path
from typing import Any, NoReturn

_REFRESH_BUFFER_MS = 30_000
_LOCK_STALE_MS = 10_000
_LOCK_ATTEMPTS = 20
_FIRST_WAIT_S, _WAIT_GROWTH, _LONGEST_WAIT_S = 0.1, 1.5, 2.0


class Player:
    """One process; of the file it remembers the content, the time of its change, and for good
    the last refresh token that it could read."""

    def __init__(self, file: Path, token_url: str, client_id: str) -> None:
        self._file = file
        self._lock = file.with_suffix(".lock")
        self._token_url = token_url
        self._client_id = client_id
        self._credentials: dict[str, Any] | None = None
        self._refresh_token = ""
        self._read_mtime_ms = 0.0
        # Even if another process owns the lock: this is what Node does at every kind of exit.
        atexit.register(self._lock.unlink, missing_ok=True)

    def play(self, *, rejected: bool) -> dict[str, Any]:
        if (token := self._valid_token()) and not rejected:
            return {"access_token": token, "refreshed": False}
        if not self._refresh_token:
            _fail("no refresh token")
        self._acquire()
        try:
            if (token := self._valid_token()) and not rejected:
                return {"access_token": token, "refreshed": False}
            return {"access_token": self._refresh(), "refreshed": True}
        finally:
            self._lock.unlink(missing_ok=True)

    def _valid_token(self) -> str | None:
        self._read_if_newer()
        if self._credentials is None:
            return None
        ends_ms = float(self._credentials["expiry_date"])
        is_valid = time.time() * 1000 < ends_ms - _REFRESH_BUFFER_MS
        return str(self._credentials["access_token"]) if is_valid else None

    def _read_if_newer(self) -> None:
        """The time of the last change decides, not the content; an absent file changes nothing."""
        try:
            mtime_ms = self._file.stat().st_mtime_ns / 1e6
        except FileNotFoundError:
            self._read_mtime_ms = 0.0
            return
        if mtime_ms > self._read_mtime_ms:
            self._credentials = _parse(self._file)
            self._read_mtime_ms = mtime_ms
        if self._credentials is not None:
            self._refresh_token = self._credentials["refresh_token"]

    def _acquire(self) -> None:
        wait = _FIRST_WAIT_S
        for _ in range(_LOCK_ATTEMPTS):
            try:
                with self._lock.open("x") as lock:
                    lock.write(str(uuid.uuid4()))
                return
            except FileExistsError:
                if self._remove_stale_lock():
                    continue
                time.sleep(wait)
                wait = min(wait * _WAIT_GROWTH, _LONGEST_WAIT_S)
        _fail("lock timeout")

    def _remove_stale_lock(self) -> bool:
        aside = self._lock.with_name(f"{self._lock.name}.stale.{uuid.uuid4()}")
        try:
            if time.time() * 1000 - self._lock.stat().st_mtime_ns / 1e6 <= _LOCK_STALE_MS:
                return False
            self._lock.rename(aside)
            aside.unlink()
        except OSError:
            return False
        return True

    def _refresh(self) -> str:
        old = self._refresh_token
        form = {"grant_type": "refresh_token", "refresh_token": old, "client_id": self._client_id}
        answer = self._post(form)
        if not answer.get("access_token"):
            _fail(f"no token returned: {answer}")
        new = {
            "access_token": answer["access_token"],
            "token_type": answer.get("token_type"),
            "refresh_token": answer.get("refresh_token") or old,
            "resource_url": answer.get("resource_url"),
        }
        self._credentials = {name: value for name, value in new.items() if value is not None}
        self._credentials["expiry_date"] = _expiry_ms(answer.get("expires_in"))
        self._save()
        return str(answer["access_token"])

    def _post(self, form: dict[str, str]) -> dict[str, Any]:
        body = urllib.parse.urlencode(form, quote_via=urllib.parse.quote).encode()
        request = urllib.request.Request(self._token_url, body, {"Accept": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request) as response:
                return dict(json.loads(response.read()))
        except urllib.error.HTTPError as refused:
            with refused:
                if refused.code in (400, 401):
                    self._file.unlink(missing_ok=True)
                _fail(f"refused: {refused.code} {refused.read().decode(errors='replace')}")
        except (OSError, ValueError) as trouble:
            _fail(f"no answer: {trouble}")

    def _save(self) -> None:
        temporary = self._file.with_name(f"{self._file.name}.tmp.{uuid.uuid4()}")
        text = json.dumps(self._credentials, indent=2, ensure_ascii=False)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.rename(self._file)
        self._read_mtime_ms = self._file.stat().st_mtime_ns / 1e6


def _parse(file: Path) -> dict[str, Any] | None:
    """None for whatever it cannot use, with no word to the user."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        texts = [data[name] for name in ("access_token", "refresh_token", "token_type")]
        expiry = data["expiry_date"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not all(isinstance(text, str) and text for text in texts):
        return None
    is_number = isinstance(expiry, int | float) and not isinstance(expiry, bool)
    return dict(data) if is_number and expiry else None


def _expiry_ms(expires_in: Any) -> float | None:
    """An absent lifetime becomes ``null``, with which it cannot read its own file again."""
    try:
        milliseconds = float(expires_in) * 1000
    except (TypeError, ValueError):
        return None
    whole = int(time.time() * 1000)
    return whole + (int(milliseconds) if milliseconds.is_integer() else milliseconds)


def _fail(reason: str) -> NoReturn:
    sys.stdout.write(json.dumps({"error": reason}) + "\n")
    raise SystemExit(1)


def main() -> None:
    # So that the exit handler runs, as it does there.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    file, token_url, client_id, *flags = sys.argv[1:]
    player = Player(Path(file), token_url, client_id)
    sys.stdout.write(json.dumps(player.play(rejected="--rejected" in flags)) + "\n")


if __name__ == "__main__":
    main()
