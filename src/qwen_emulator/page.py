"""The approval page: sign in, see the code, approve or deny.

It has no script and loads nothing. Its password is not on the page: it is known to the terminal in
which the emulator was started, so that other users and programs of this machine cannot approve.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from qwen_emulator.state import DeviceCode, EmulatorState

_COOKIE = "emulator_session"
_NAMES = {"f0304373b74a44d2b584a3fb70ca9e56": "Qwen Code"}
_MAX_WRONG_TRIES = 5
_TRIES_WINDOW_S = 60.0

_STYLE = """
:root{color-scheme:light dark;--ink:#1a1a24;--dim:#5b5b6b;--paper:#f5f5fa;--card:#fff;
--line:#d5d5e2;--go:#5145cd;--go-ink:#fff;--bad:#b42318}
@media(prefers-color-scheme:dark){:root{--ink:#ececf4;--dim:#a9a9bb;--paper:#14141c;--card:#1e1e2a;
--line:#3a3a4c;--go:#a5a0ff;--go-ink:#14141c;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;background:var(--paper);
color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
main{width:100%;max-width:26rem;background:var(--card);border:1px solid var(--line);
border-radius:1rem;padding:2rem}
h1{font-size:1.35rem;margin:0 0 .5rem}
p{margin:.5rem 0}
.dim{color:var(--dim);font-size:.9rem}
.bad{color:var(--bad)}
.code{font:600 2rem/1.2 ui-monospace,monospace;letter-spacing:.12em;text-align:center;
padding:1rem 0;margin:1rem 0;border:1px dashed var(--line);border-radius:.5rem}
label{display:block;margin-top:1rem;font-weight:600}
input{width:100%;font:inherit;padding:.65rem .75rem;margin-top:.25rem;border:1px solid var(--dim);
border-radius:.5rem;background:transparent;color:inherit}
.row{display:flex;gap:.75rem;margin-top:1.5rem}
button{flex:1;font:inherit;font-weight:600;min-height:3rem;border-radius:.5rem;cursor:pointer;
border:1px solid var(--go);background:var(--go);color:var(--go-ink)}
button.quiet{background:transparent;color:inherit;border-color:var(--dim)}
:focus-visible{outline:3px solid var(--go);outline-offset:2px}
ul{padding-left:1.2rem;margin:.5rem 0}
"""


class WrongTries:
    """Counts wrong guesses: five in a minute are too many."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._times: deque[float] = deque()

    def note(self) -> None:
        """Count one more."""
        self._times.append(self._now())

    @property
    def are_too_many(self) -> bool:
        while self._times and self._times[0] < self._now() - _TRIES_WINDOW_S:
            self._times.popleft()
        return len(self._times) >= _MAX_WRONG_TRIES


class ApprovalPage:
    """The handlers of ``/authorize``."""

    def __init__(self, state: EmulatorState, password: str) -> None:
        self._state = state
        self._password = password
        self._sessions: dict[str, dict[str, str]] = {}
        self._wrong_codes = WrongTries()
        self._wrong_passwords = WrongTries()

    async def get(self, request: Request) -> Response:
        user_code = request.query_params.get("user_code", "")
        session = self._session(request)
        if session is None:
            return self._sign_in(user_code)
        return self._decide(session, user_code)

    async def post(self, request: Request) -> Response:
        form = await request.form(max_files=0, max_fields=10)
        values = {name: text for name, text in form.items() if isinstance(text, str)}
        user_code = values.get("user_code", "")
        if values.get("step") == "sign-in":
            return self._signed_in(values, user_code)
        session = self._session(request)
        if session is None:
            return self._sign_in(user_code, "Your session has expired. Sign in again.")
        if not secrets.compare_digest(values.get("csrf", ""), session["csrf"]):
            return _page("Refused", "<p>This form does not come from this page.</p>", status=403)
        return self._decided(session, user_code, values.get("decision", ""))

    # -- steps ------------------------------------------------------------------------------------

    def _sign_in(self, user_code: str, problem: str = "") -> Response:
        body = f"""
<p>Sign in to approve a terminal.</p>{_problem(problem)}
<form method="post" action="/authorize">
<input type="hidden" name="step" value="sign-in">
<input type="hidden" name="user_code" value="{escape(user_code)}">
<label for="name">Name</label>
<input id="name" name="name" value="demo" autocomplete="username" required>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required
 autofocus>
<div class="row"><button type="submit">Sign in</button></div>
</form>
<p class="dim">This is an emulator on your own machine. You can use any name. The password is in the
terminal where <code>qwen emulator</code> runs.</p>"""
        return _page("Sign in", body, status=401 if problem else 200)

    def _signed_in(self, values: dict[str, str], user_code: str) -> Response:
        if self._wrong_passwords.are_too_many:
            return _too_many_tries()
        name = values.get("name", "").strip()[:64]
        given = values.get("password", "").strip()
        if not secrets.compare_digest(given.encode(), self._password.encode()):
            self._wrong_passwords.note()
            return self._sign_in(user_code, "The password is wrong.")
        if not name:
            return self._sign_in(user_code, "The name must not be empty.")
        key = secrets.token_urlsafe(24)
        self._sessions[key] = {"account": name, "csrf": secrets.token_urlsafe(24)}
        from urllib.parse import urlencode

        query = f"?{urlencode({'user_code': user_code})}" if user_code else ""
        response = RedirectResponse(f"/authorize{query}", status_code=303)
        response.set_cookie(_COOKIE, key, httponly=True, samesite="strict", path="/authorize")
        return response

    def _decide(self, session: dict[str, str], user_code: str, problem: str = "") -> Response:
        code = self._find(user_code) if user_code else None
        if code is None:
            if user_code and not problem:
                problem = "No sign-in has this code, or the code has expired."
            return self._ask_code(problem)
        if code.approved is not None:
            return _page("Already decided", "<p>You can close this page.</p>")
        scopes = "".join(f"<li>{escape(s)}</li>" for s in code.scope.split())
        body = f"""
<p>Does your terminal show this code?</p>
<p class="code" id="code">{escape(code.user_code)}</p>
<p><strong>{escape(_NAMES.get(code.client_id, code.client_id))}</strong> asks for:</p>
<ul>{scopes}</ul>
<form method="post" action="/authorize">
<input type="hidden" name="csrf" value="{session["csrf"]}">
<input type="hidden" name="user_code" value="{escape(code.user_code)}">
<div class="row">
<button type="submit" name="decision" value="approve" autofocus>Approve</button>
<button type="submit" name="decision" value="deny" class="quiet">Deny</button>
</div></form>
<p class="dim">Signed in as {escape(session["account"])}. If you did not start this, deny it.</p>"""
        return _page("Approve this terminal?", body)

    def _ask_code(self, problem: str) -> Response:
        if self._wrong_codes.are_too_many:
            return _too_many_tries()
        body = f"""{_problem(problem)}
<form method="get" action="/authorize">
<label for="user_code">The code that your terminal shows</label>
<input id="user_code" name="user_code" autocomplete="off" autocapitalize="characters"
 spellcheck="false" required autofocus>
<div class="row"><button type="submit">Continue</button></div></form>"""
        return _page("Enter the code", body, status=404 if problem else 200)

    def _decided(self, session: dict[str, str], user_code: str, decision: str) -> Response:
        code = self._find(user_code)
        if code is None or decision not in ("approve", "deny"):
            return self._ask_code("No sign-in has this code, or the code has expired.")
        approved = decision == "approve"
        self._state.decide(code, session["account"], approved=approved)
        if approved:
            text = "<p>Your terminal is now signed in. You can close this page.</p>"
            return _page("Signed in", text)
        return _page("Denied", "<p>Your terminal was not signed in. You can close this page.</p>")

    # -- details ----------------------------------------------------------------------------------

    def _session(self, request: Request) -> dict[str, str] | None:
        return self._sessions.get(request.cookies.get(_COOKIE, ""))

    def _find(self, user_code: str) -> DeviceCode | None:
        if self._wrong_codes.are_too_many:
            return None
        code = self._state.code_for(user_code)
        if code is None:
            self._wrong_codes.note()
        return code


def _too_many_tries() -> Response:
    return _page("Too many tries", "<p>Wait a minute, then try again.</p>", status=429)


def _problem(text: str) -> str:
    return f'<p class="bad" role="alert">{escape(text)}</p>' if text else ""


def _page(title: str, body: str, status: int = 200) -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    headers: dict[str, Any] = {
        "content-security-policy": f"default-src 'none'; style-src 'nonce-{nonce}'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        "x-content-type-options": "nosniff",
        # With "no-referrer", browsers send "Origin: null" with the page's own forms.
        "referrer-policy": "same-origin",
        "cache-control": "no-store",
    }
    html = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)} · Qwen emulator</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style nonce="{nonce}">{_STYLE}</style></head>
<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"""
    return HTMLResponse(html, status, headers)
