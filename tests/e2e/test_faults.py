"""Every fault of the emulator, met by the real command; the emulator's log is the witness."""

from __future__ import annotations

import json
import subprocess
import time
from itertools import pairwise
from typing import Any

import pytest


class Meeting:
    """A ``qwen`` whose sign-in server is the emulator."""

    def __init__(self, qwen: Any, emulator: Any) -> None:
        self.qwen, self.emulator = qwen, emulator
        self.env = {"QWEN_OAUTH_BASE_URL": emulator.base_url}

    def login(self) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str] = self.qwen(
            "auth", "login", "--method", "qwen-oauth", env=self.env
        )
        return done

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str] = self.qwen("-p", "hi", *arguments, env=self.env)
        return done

    def expire(self) -> None:
        path = self.qwen.home / ".qwen" / "oauth_creds.json"
        creds = json.loads(path.read_text())
        path.write_text(json.dumps({**creds, "expiry_date": 1}))


@pytest.fixture
def meeting(qwen: Any, emulate: Any) -> Meeting:
    return Meeting(qwen, emulate("--interval", "0.3", "--approve"))


@pytest.fixture
def signed_in(meeting: Meeting) -> Meeting:
    assert meeting.login().returncode == 0
    return meeting


@pytest.mark.parametrize(
    ("fault", "code", "said", "polls"),
    [
        ("pending", 0, "Signed in", 2),
        ("slow_down_429", 0, "Signed in", 2),
        ("slow_down_400", 0, "Signed in", 2),
        ("error_500", 0, "Signed in", 1),
        ("denied", 41, "refused in the browser", 1),
        ("expired", 41, "the code expired", 1),
        ("expired_401", 41, "the code expired", 1),
        ("token_type", 41, "token of type mac", 1),
        ("no_refresh_token", 0, "no refresh token", 1),
        ("no_resource_url", 0, "Signed in", 1),
        ("expires_in_zero", 0, "Signed in", 1),
        ("expires_in_text", 0, "Signed in", 1),
        ("no_interval", 0, "Signed in", 1),
        ("no_complete_uri", 0, "Signed in", 1),
        ("no_user_code", 41, "no user_code", 0),
        ("discontinued", 41, "service_discontinued", 0),
        ("redirect", 41, "redirect", 0),
    ],
)
def test_signing_in(meeting: Meeting, fault: str, code: int, said: str, polls: int) -> None:
    # Faults of the first request would hit the device answer, so those of polls are set by name.
    meeting.emulator.fault(fault)
    if fault == "error_500":
        assert meeting.login().returncode == 41
    done = meeting.login()
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
    times = [entry["at"] for entry in meeting.emulator.log("/token")]
    assert len(times) == polls
    interval = 5.3 if fault.startswith("slow_down") else 0.3
    assert all(later - earlier >= interval for earlier, later in pairwise(times))


@pytest.mark.parametrize("fault", ["reset", "truncated", "empty", "error_502", "too_many"])
def test_trouble_while_waiting(meeting: Meeting, fault: str) -> None:
    begun = meeting.qwen("auth", "login", "--no-wait", env=meeting.env)
    assert begun.returncode == 0
    meeting.emulator.fault(fault)
    done = meeting.qwen("auth", "login", "--resume", env=meeting.env)
    assert done.returncode == 0, done.stderr
    assert "Network trouble, still waiting" in done.stdout
    times = [entry["at"] for entry in meeting.emulator.log("/token")]
    assert len(times) == 2 and times[1] - times[0] >= 0.6


@pytest.mark.parametrize(
    "fault", ["error_500", "error_502", "too_many", "reset", "empty", "truncated"]
)
def test_trouble_while_renewing(signed_in: Meeting, fault: str) -> None:
    signed_in.expire()
    signed_in.emulator.fault(fault)
    done = signed_in.ask()
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("invalid_grant", "your sign-in has ended"),
        ("lost_answer", "your sign-in has ended"),
        ("redirect", "could not be renewed: redirect"),
        ("token_type", "could not be renewed: unsupported_token_type"),
        ("too_many_long", "You are still signed in"),
    ],
)
def test_renewals_that_fail(signed_in: Meeting, fault: str, said: str) -> None:
    path = signed_in.qwen.home / ".qwen" / "oauth_creds.json"
    signed_in.expire()
    before = path.read_bytes()
    signed_in.emulator.fault(fault)
    started = time.monotonic()
    done = signed_in.ask()
    assert done.returncode == 41
    assert said in done.stderr
    assert path.read_bytes() == before
    assert time.monotonic() - started < 30


def test_a_slow_renewal_is_waited_for(signed_in: Meeting) -> None:
    signed_in.expire()
    signed_in.emulator.fault("slow_refresh")
    assert signed_in.ask().returncode == 0
    assert [e["outcome"] for e in signed_in.emulator.log("/token")][1:] == ["ok"]


@pytest.mark.parametrize(
    "fault",
    [
        "no_refresh_token",
        "no_resource_url",
        "no_expires_in",
        "expires_in_huge",
        "expires_in_negative",
        "expires_in_float",
    ],
)
def test_odd_renewals_are_good_ones(signed_in: Meeting, fault: str) -> None:
    signed_in.expire()
    signed_in.emulator.fault(fault)
    assert [signed_in.ask().returncode for _ in range(2)] == [0, 0]
    assert [e["outcome"] for e in signed_in.emulator.log("/token")][1:] == ["ok"]


def test_a_renewal_does_not_move_the_endpoint(signed_in: Meeting) -> None:
    signed_in.expire()
    signed_in.emulator.fault("other_resource_url")
    done = signed_in.ask()
    assert done.returncode == 0
    assert "evil.example" in done.stderr and "still go where they went before" in done.stderr


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("unauthorized", 0, ""),
        ("unauthorized:2", 41, "qwen auth"),
        ("forbidden", 1, "lacks permission"),
        ("throttled", 0, "too many requests"),
        ("exhausted", 1, "quota"),
        ("too_many", 0, "retrying in"),
        ("too_many_long", 1, "(in 60 min)"),
        ("other_model", 0, "another-model answered"),
        ("redirect", 1, "redirects to"),
        ("error_502", 0, "retrying in"),
        ("reset", 0, ""),
        ("cut", 1, "cut off"),
    ],
)
def test_the_model_behind_the_token(signed_in: Meeting, fault: str, code: int, said: str) -> None:
    signed_in.emulator.fault(fault)
    done = signed_in.ask()
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert [e["outcome"] for e in signed_in.emulator.log("/token")].count("reused") == 0
