"""What servers call their errors: codes, statuses and words, as data.

Codes count before words, and what a provider's row says (`config.providers.Wire.errors`) before
both. A new wording is a line here and a file in ``tests/corpus/errors``.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Literal

ErrorKind = Literal[
    "context", "model", "quota", "rate", "key", "access", "overloaded", "server", "tools", "request"
]
"""What an error means for what is done next."""


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


_CODES: dict[ErrorKind, tuple[str, ...]] = {
    "context": (
        *("context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"),
        *("contextwindowexceedederror", "tokens_limit_reached"),
        *("model_max_prompt_tokens_exceeded", "model_context_window_exceeded", "request_too_large"),
        *("invalid_prompt_length", "prompt_too_long", "max_tokens_exceeded"),
    ),
    "model": (
        *("model_not_found", "modelnotfound", "model_not_supported", "deploymentnotfound"),
        *("unknown_model", "invalid_model", "model_not_available", "model_decommissioned"),
        *("model_not_exist", "resource_not_found_error", "invalidendpointormodel.notfound"),
        *("modelnotopen", "model_unavailable", "deployment_not_found", "unsupported_model"),
    ),
    "quota": (
        *("insufficient_quota", "billing_hard_limit_reached", "billing_not_active"),
        *("quota_exceeded", "quotaexceeded", "insufficient_balance", "insufficient_credits"),
        *("arrearage", "access_terminated", "throttling.allocationquota", "budget_exceeded"),
        *("allocationquota.freetieronly", "freetieronly", "exceeded_current_quota_error"),
        *("insufficient_user_quota", "credit_balance_exceeded", "payment_required"),
        *("billing_error", "accountoverdueerror", "quotalimitexceeded", "usage_limit_reached"),
    ),
    "overloaded": (
        *("overloaded_error", "engine_overloaded_error", "server_overloaded", "unavailable"),
        *("service_tier_capacity_exceeded", "insufficient_system_resource", "service_unavailable"),
        "modelserviceunavailable",
    ),
    "rate": (
        *(
            "rate_limit_exceeded",
            "rate_limit_error",
            "rate_limit_reached_error",
            "too_many_requests",
        ),
        *("resource_exhausted", "throttling.ratequota", "throttling.burstrate", "ratelimitreached"),
        *(
            "limit_requests",
            "limit_burst_rate",
            "throttling",
            "throttling.user",
            "ratelimitexceeded",
        ),
    ),
    "key": (
        *("invalid_api_key", "invalidapikey", "authentication_error", "unauthenticated"),
        *("invalid_authentication_error", "api_key_invalid", "token_not_found_in_db", "auth_error"),
        *(
            "incorrect_api_key",
            "invalid_token",
            "expired_key",
            "unauthorized",
            "authenticationerror",
        ),
        *("missing_api_key", "no_db_connection"),  # LiteLLM, for a key that is not its own
    ),
    "access": (
        *("permission_denied", "permission_error", "key_model_access_denied", "accessdenied"),
        *("unsupported_country_region_territory", "team_model_access_denied", "access_denied"),
        *("model_access_denied", "accessdenied.unpurchased"),
    ),
    "server": (
        *("server_error", "internal_error", "internalerror", "internal_server_error", "api_error"),
        *("deadline_exceeded", "internal", "upstream_error", "network_error", "timeout"),
        *("requesttimeout", "internalerror.timeout", "do_request_failed"),
    ),
    "request": ("invalid_request_error", "invalid_argument", "invalidparameter", "bad_request"),
}
_KIND_OF_CODE = {code: kind for kind, codes in _CODES.items() for code in codes}

STATUS_OF_KIND: dict[ErrorKind, int] = {
    "context": 400,
    "tools": 400,
    "request": 400,
    "key": 401,
    "access": 403,
    "model": 404,
    "quota": 429,
    "rate": 429,
    "overloaded": 503,
    "server": 500,
}
"""The status of an error that came without one: inside a stream, or under the status 200."""

CONTEXT = _words(
    r"context (length|size|window|limit)",
    r"maximum (context|prompt|input|sequence)",
    r"(model )?token limit: \d+",
    r"(prompt|inputs?|conversation|messages?)\b.{0,60}\btoo (long|large)\b",
    r"too many (input |prompt )?tokens\b(?! per)",
    r"token count.{0,60}\b(exceed|but (the )?model only)",
    r"(input|prompt|number of).{0,20}tokens?.{0,60}(exceed|cannot exceed|longer than|larger than)",
    r"(input|prompt) length.{0,40}(exceed|longer|should be|must be)",
    r"exceed\w*.{0,40}(max(imum)?.?(model.?)?(len|length|tokens)\b|number of tokens|token limit)",
    r"reduce (the |your )?(length of )?(the |your )?(messages?|prompt|input|context)\b",
    r"(must be|is) (less|longer) than.{0,40}(max_seq_len|context)",
    r"max_seq_len|max_model_len|prompt_tokens \(\d+\)",
    r"range of input length|input is too (long|large)|body too large|entity too large",
    r"messages.{0,40}string too long|max message tokens|max input characters|overflows\b.*context",
    r"tokens.{0,40}\+.{0,40}(must be|exceed)|tokens to keep from the initial prompt",
    r"(prompt|request|input).{0,20}exceeds?.{0,20}(max|limit)(?!.*per (min|day|sec))",
    r"(超[过出长]|过长).{0,20}(长度|上下文|token|限制)|(输入|上下文|内容|prompt|提示词).{0,20}(过长|超长|超[过出])",
)
LARGER_THAN_THE_LIMIT = _words(r"request too large.{0,160}limit\D{0,9}(?P<l>\d+)\D{0,20}(?P<r>\d+)")
"""A limit of tokens a minute that this request can never satisfy, however long one waits."""

OUTPUT_LIMIT = _words(
    r"(?<!\+ `)(?<!\+ )max_(completion_|output_|new_)?tokens\W{0,3}( is| must| should| cannot|: )"
)
"""Not the conversation is too long, but the answer that was asked for."""

NOT_CONTEXT = _words(r"\bimages?\b|\bpictures?\b")
NOT_TOOLS = _words(r"array too long|maximum length|schema")
"""What is wrong with some of the tools, not with there being any."""

MODEL = _words(
    r"models?\b.{0,120}\b(not (found|exist|supported|available)|unknown|does ?n[o']t exist)",
    r"model\b.{0,80}\b(invalid|decommissioned|deprecated|no longer|not a valid|inaccessible)",
    r"(unknown|invalid|unrecognized|no such|unsupported|not found the) model\b",
    r"not a valid model|no endpoints found for|no allowed providers|model not exist",
    r"no available channel|无可用渠道|模型不存在|模型.{0,20}(不存在|不支持|未找到)",
    r"unable to access (non-serverless )?model|deployment.{0,60}does not exist|try pulling it",
    r"function '[^']+': not found|no model.{0,40}(loaded|found)|permitted models",
)
TOOLS = _words(
    r"(does ?n[o']t|do not|not|cannot|without) support\w*.{0,40}\b(tools?|function)",
    r"support tool use|support tools",
    r"(tools?|tool_choice|function.?call\w*).{0,80}(not|un).{0,2}support",
    r"enable-auto-tool-choice|tools param requires|tool.?calls?\W+is not supported",
    r"(unknown|unrecognized|unsupported|unexpected|extra|invalid).{0,40}\btools\b",
    r"tool (use|calling) (is )?(not|un)",
    r"\btools: (extra|unknown|unexpected|unrecognized|not permitted)",
)
QUOTA = _words(
    r"free (allocated|tier) quota|insufficient.{0,20}(quota|balance|credit|funds)",
    r"(quota|budget|credits?|balance)\b.{0,40}(exceeded|exhausted|used up|depleted|reached)",
    r"balance is too low",
    r"exceeded your (current |monthly |daily )?(\w+ )?(quota|budget)|billing|payment required",
    r"(more|out of|no|any|add|add \d+|purchase) credits|spend(ing)? limit",
    r"(monthly|daily|weekly) (usage |token )?limit|(tokens|requests) per (day|week|month) limit",
    r"usage limit|余额不足|欠费|额度(不足|已用|已耗)|账户.{0,8}(余额|欠)|access.{0,20}terminated",
)
LIMIT_OF_TOKENS = _words(r"error-code#token-limit")
"""DashScope's limit of tokens a minute, which it calls a used-up quota: the page that it links to
says which of the two it is."""
URL = _words(r"https?://\S+")
"""The address of a page for billing stands in errors that have nothing to do with it."""
RATE = _words(
    r"rate.?limit|too many requests|(requests?|tokens) per (min|sec)|concurrency|throttl",
    r"请求(过于)?频繁|速率|限流",
)
KEY = _words(
    r"(invalid|incorrect|wrong|missing|bad|expired|no) (or \w+ )?(api|auth\w*|proxy|access)[ -]?"
    r"(server )?(api )?(key|token|header|credentials?)\b",
    r"(invalid|incorrect|missing|bad|expired|no) (credentials?|authentication)\b",
    r"(api[ _-]?key|auth\w* token|access token|credentials?)\b.{0,40}"
    r"(invalid|not valid|incorrect|expired|missing|revoked|required|not found|wrong)",
    r"(api|virtual) key expected|not authenticated|auth(entication|orization) (error|fail)",
    r"auth(entication|orization) required",
    r"unauthorized|invalid subscription key",
    r"login fail|身份验证|令牌|鉴权|api ?key.{0,8}(无效|错误|不正确)|security token.{0,30}invalid",
)
KEY_WHERE_REFUSED = _words(r"(invalid|incorrect|wrong|missing|bad|expired) (key|token)\b")
"""Of an error whose status says that something is not allowed. Elsewhere a key is a field, and a
token is a word."""

OVERLOADED = _words(
    r"overload|at capacity|capacity exceeded|high demand|(server|service).{0,9}busy",
    r"degraded function cannot be invoked",
    r"model is (currently )?loading|繁忙|过载|服务器.{0,8}(忙|负载)",
)
NOT_A_PAGE = _words(
    r"^\W*(404 )?(page |route |path |url |endpoint |resource )?not found\W*$|cannot (post|get) /",
    r"invalid url \(|no route|unknown (request )?url|unrecognized request url|method not allowed",
    r"no handler|unexpected endpoint|not implemented|url.?not.?found",
)
"""A server that answers in JSON, but has nothing at this address."""

WAIT = re.compile(
    r"(?:try again|retry(?:ing)?|wait|retry.?after|available|reset\w*)\D{0,24}?"
    r"(?P<time>(?:\d+(?:\.\d+)?\s*(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?)"
    r"(?![a-z])\s*)+)",
    re.IGNORECASE,
)
"""How long to wait, in words: "try again in 1m2.5s"."""

RESET = re.compile(
    r"resets? (?:at|on) (?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?"
    r" ?(Z|UTC|[+-]\d\d:?\d\d))",
    re.IGNORECASE,
)
"""When a limit ends, in words, with its time zone: without one, the time could be any."""

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def kind_of_code(code: str) -> ErrorKind | None:
    """What a code in lower case means, if it is known."""
    return _KIND_OF_CODE.get(code)


def reset_in(text: str) -> float | None:
    """The time at which an error says that its limit ends, in seconds since the epoch."""
    found = RESET.search(text)
    if not found:
        return None
    from datetime import datetime  # few errors name a time

    with suppress(ValueError):
        zone = found["time"].upper().replace("UTC", "Z").replace(" Z", "Z")
        return datetime.fromisoformat(zone).timestamp()
    return None


def wait_in(text: str) -> float | None:
    """The seconds to wait that an error names in words; ``None`` if it does not."""
    found = WAIT.search(text)
    if not found:
        return None
    total_s = 0.0
    for number, unit in re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]+)", found["time"].lower()):
        name = "ms" if unit.startswith(("ms", "milli")) else unit[:1]
        total_s += float(number) * _UNITS_S[name]
    return total_s
