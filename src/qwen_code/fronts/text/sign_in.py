"""A sign-in by device flow at a terminal: what it prints and asks."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Self

import msgspec

from qwen_code.auth.oauth.enrolment import Enrolment
from qwen_code.auth.oauth.pending import PendingFlow
from qwen_code.auth.oauth.server import ServerFlags
from qwen_code.auth.oauth.token import Token
from qwen_code.auth.profiles import DEFAULT_ACCOUNT
from qwen_code.auth.sources import Gathered
from qwen_code.base.clock import BlockingClock
from qwen_code.fronts.console import notice
from qwen_code.fronts.text.sign_in_display import display_for


class SignInOptions(msgspec.Struct, frozen=True):
    """What the command line says about a sign-in."""

    server: ServerFlags = ServerFlags()
    browser: bool = True
    wait: bool = True
    resume: bool = False
    as_json: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The options as the command line parsed them."""
        server = ServerFlags(values["issuer"], values["client_id"], values["scope"])
        return cls(
            server,
            not values["no_browser"],
            not values["no_wait"],
            values["resume"],
            values["as_json"],
        )


def sign_in(
    gathered: Gathered, options: SignInOptions, *, profile: str | None, model: str | None
) -> str:
    """Sign in, or only begin to; returns the profile's name.

    Raises:
        SignInFailed: denied, expired, cancelled, or refused by the server.
        ConfigError, TransportError: the server cannot be used or reached.
    """
    enrolment = Enrolment(
        gathered, options.server, BlockingClock(), profile=profile, model=model, notice=notice
    )
    flow = enrolment.resume() if options.resume else enrolment.begin()
    if not options.wait:
        _print_code(flow, as_json=options.as_json)
        return enrolment.profile
    # Data goes to stdout alone; a person's lines go to stderr then.
    write = _to_stderr if options.as_json else _to_stdout
    display = display_for(os.environ, browser=options.browser, write=write)
    token = enrolment.finish(flow, display)
    if options.as_json:
        _print_json({"signed_in": True, "profile": enrolment.profile, "account": token.account})
    else:
        write(_welcome(token, enrolment.profile))
    return enrolment.profile


def _welcome(token: Token, profile: str) -> str:
    who = f" as {token.account}" if token.account else ""
    name = "" if profile == DEFAULT_ACCOUNT else f" (profile {profile})"
    lines = [f"Signed in{who}{name}. See qwen auth status."]
    if token.refresh_token is None:
        lines.append(
            "The server gave no refresh token: this sign-in ends when its token does. For one that "
            "lasts, the scope often has to name offline_access (--scope)."
        )
    return "\n".join(lines) + "\n"


def _print_code(flow: PendingFlow, *, as_json: bool) -> None:
    left_s = round(flow.expires_at - BlockingClock().now())
    if as_json:
        _print_json(
            {
                "verification_uri": flow.verification_uri,
                "verification_uri_complete": flow.verification_uri_complete,
                "user_code": flow.user_code,
                "expires_in": left_s,
                "interval": flow.interval_s,
                "finish_with": "qwen auth login --resume",
            }
        )
        return
    display_for({**os.environ, "TERM": "dumb"}, browser=False, write=_to_stdout).show(flow)
    _to_stdout(f"It is good for {left_s // 60} minutes. To finish: qwen auth login --resume\n")


def _print_json(data: object) -> None:
    _to_stdout(f"{msgspec.json.format(msgspec.json.encode(data), indent=2).decode()}\n")


def _to_stdout(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _to_stderr(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
