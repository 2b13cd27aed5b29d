"""The provider table: one row for each service, and only data.

``auth`` reads where a key may go and how it is sent, ``config`` which variables hold keys and so
stay out of child processes, the sign-in dialog what to offer. A new provider is a row here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Literal

import msgspec

from qwen_code.base.url import Origin
from qwen_code.config import env_names

HeaderStyle = Literal["authorization", "api-key"]
"""The header that carries a credential: as a bearer token (RFC 6750), or Azure's."""

_DASHSCOPE_HEADERS = {
    "x-dashscope-cachecontrol": "enable",
    "x-dashscope-useragent": "QwenCode/{version} ({platform})",
    "x-dashscope-authtype": "{method}",
}


Effort = Literal[
    "reasoning_effort", "reasoning", "thinking", "thinking_with_effort", "enable_thinking"
]
"""The fields of a request that say how much to reason: OpenAI's, OpenRouter's object, Kimi's
object, DeepSeek's and Z.AI's object beside OpenAI's field, DashScope's flag."""


class Wire(msgspec.Struct, frozen=True):
    """How a service differs from the Chat Completions API.

    ``errors`` are its own codes in lower case, each with a kind of `models.error_words`.
    ``needs_reasoning``: while a model thinks, it rejects a message with calls but without
    ``reasoning_content``.
    ``marks_cache``: it keeps what it has read of a prompt only up to marks (``cache_control``),
    for models whose names begin with one of these. ``names_deployments``: a request's model is the
    name of a deployment, and the answer's is not.
    """

    errors: Mapping[str, str] = {}
    needs_reasoning: bool = False
    marks_cache: tuple[str, ...] = ()
    names_deployments: bool = False
    effort: Effort = "reasoning_effort"


_DASHSCOPE = Wire(
    errors={
        "invalidparameter.datainspection": "request",
        "datainspectionfailed": "request",
        "data_inspection_failed": "request",
        "throttling.ratequota": "rate",
        "throttling.burstrate": "rate",
        "limit_requests": "rate",
        "throttling.allocationquota": "quota",
        "insufficient_quota": "quota",
    },
    marks_cache=("",),
    effort="enable_thinking",
)


class Provider(msgspec.Struct, frozen=True):
    """One service.

    ``hosts`` match exactly or as a parent domain, never as a substring. ``key_names`` are the
    provider's own variables, most specific first. ``base_url`` is ``None`` if every customer has
    a different one. ``headers`` are sent with every request; ``{version}``, ``{platform}`` and
    ``{method}`` in them are filled in. ``is_offered``: whether it can be chosen for an API key.
    ``lists_models``: whether ``GET /models`` lists the names that requests use.
    """

    name: str
    title: str
    hosts: tuple[str, ...] = ()
    key_names: tuple[str, ...] = ()
    base_url: str | None = None
    default_model: str | None = None
    key_page: str | None = None
    header_style: HeaderStyle = "authorization"
    headers: Mapping[str, str] = {}
    is_offered: bool = True
    lists_models: bool = True
    wire: Wire = Wire()

    def serves(self, origin: Origin) -> bool:
        """Whether ``origin`` is one of this provider's hosts or a subdomain of one."""
        return any(origin.host == host or origin.host.endswith(f".{host}") for host in self.hosts)

    def headers_for(self, version: str, method: str) -> dict[str, str]:
        """The headers of a request, without the credential's."""
        facts = {"version": version, "platform": sys.platform, "method": method}
        return {name: text.format(**facts) for name, text in self.headers.items()}


OPENAI = Provider(
    "openai",
    "OpenAI",
    hosts=("api.openai.com",),
    key_names=("OPENAI_API_KEY",),
    base_url="https://api.openai.com/v1",
    key_page="https://platform.openai.com/api-keys",
)

AZURE = Provider(
    "azure",
    "Azure OpenAI",
    hosts=(
        *("openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com"),
        *("openai.azure.us", "cognitiveservices.azure.us", "services.ai.azure.us"),
        *("openai.azure.cn", "cognitiveservices.azure.cn", "services.ai.azure.cn"),
        # Resources without a name of their own, as eastus.api.cognitive.microsoft.com.
        *("api.cognitive.microsoft.com", "api.cognitive.microsoft.us", "api.cognitive.azure.cn"),
    ),
    key_names=("AZURE_OPENAI_API_KEY",),
    key_page="https://ai.azure.com",
    header_style="api-key",
    lists_models=False,  # it lists models, but requests name deployments
    wire=Wire(names_deployments=True),
)

_OTHERS = (
    Provider(
        "deepseek",
        "DeepSeek",
        hosts=("api.deepseek.com",),
        is_offered=False,
        wire=Wire(needs_reasoning=True, effort="thinking_with_effort"),
    ),
    Provider(
        "moonshot",
        "Moonshot AI (Kimi)",
        hosts=("api.moonshot.ai", "api.moonshot.cn", "api.kimi.com"),
        is_offered=False,
        wire=Wire(needs_reasoning=True, effort="thinking"),
    ),
    Provider(
        "zai",
        "Z.AI (GLM)",
        hosts=("api.z.ai", "open.bigmodel.cn"),
        is_offered=False,
        wire=Wire(
            errors={
                **dict.fromkeys(("1000", "1001", "1002", "1003", "1004"), "key"),
                **dict.fromkeys(("1112", "1113", "1308", "1309", "1310"), "quota"),
                **dict.fromkeys(("1211", "1212", "1220", "1221", "1222"), "model"),
                **dict.fromkeys(("1302", "1303", "1304"), "rate"),
                "1261": "context",
                "1301": "request",
                "1305": "overloaded",
                "1234": "server",
            },
            effort="thinking_with_effort",
        ),
    ),
    Provider(
        "minimax",
        "MiniMax",
        hosts=("api.minimax.io", "api.minimaxi.com", "api.minimax.chat"),
        is_offered=False,
        wire=Wire(
            errors={
                **dict.fromkeys(("1004", "2049"), "key"),
                **dict.fromkeys(("1002", "1041"), "rate"),
                **dict.fromkeys(("1008", "2056"), "quota"),
                "1039": "context",
                "1000": "server",
                "1013": "server",
                "1033": "server",
            },
        ),
    ),
    Provider(
        "siliconflow",
        "SiliconFlow",
        hosts=("api.siliconflow.cn", "api.siliconflow.com"),
        is_offered=False,
        wire=Wire(errors={"20012": "model", "30001": "quota", "50505": "overloaded"}),
    ),
)
"""Services whose answers differ from the API, and which are not in the sign-in dialog."""

CUSTOM = Provider(
    "custom", "Any OpenAI-compatible API", wire=Wire(marks_cache=("claude", "anthropic/"))
)

PROVIDERS: tuple[Provider, ...] = (
    OPENAI,
    Provider(
        "bailian",
        "Alibaba Cloud Bailian (mainland China)",
        hosts=("dashscope.aliyuncs.com",),
        key_names=("DASHSCOPE_API_KEY",),
        base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
        default_model="qwen3-coder-plus",
        key_page="https://bailian.console.aliyun.com/?tab=model#/api-key",
        headers=_DASHSCOPE_HEADERS,
        wire=_DASHSCOPE,
    ),
    Provider(
        "bailian-intl",
        "Alibaba Cloud Bailian (international)",
        hosts=("dashscope-intl.aliyuncs.com",),
        key_names=("DASHSCOPE_API_KEY",),
        base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        default_model="qwen3-coder-plus",
        key_page="https://modelstudio.console.alibabacloud.com/?tab=model#/api-key",
        headers=_DASHSCOPE_HEADERS,
        wire=_DASHSCOPE,
    ),
    Provider(
        "modelscope",
        "ModelScope",
        hosts=("api-inference.modelscope.cn",),
        key_names=("MODELSCOPE_API_KEY",),
        base_url="https://api-inference.modelscope.cn/v1",
        default_model="Qwen/Qwen3-Coder-480B-A35B-Instruct",
        key_page="https://modelscope.cn/my/myaccesstoken",
    ),
    Provider(
        "openrouter",
        "OpenRouter",
        hosts=("openrouter.ai",),
        key_names=("OPENROUTER_API_KEY",),
        base_url="https://openrouter.ai/api/v1",
        default_model="qwen/qwen3-coder",
        key_page="https://openrouter.ai/keys",
        headers={"x-title": "Qwen Code"},
        wire=Wire(marks_cache=("anthropic/", "qwen/"), effort="reasoning"),
    ),
    AZURE,
    Provider(
        "qwen",
        "Qwen",
        hosts=("qwen.ai",),
        headers=_DASHSCOPE_HEADERS,
        is_offered=False,
        wire=_DASHSCOPE,
    ),
    *_OTHERS,
    CUSTOM,
)

KEY_NAMES: frozenset[str] = frozenset(
    (
        *env_names.API_KEY,
        *(name for provider in PROVIDERS for name in provider.key_names),
        env_names.QWEN_EMULATOR_UPSTREAM_KEY,
    )
)
"""Every variable that is known to hold a key of this program's providers."""

_KEY_ENDINGS = tuple(
    f"_{each}"
    for each in (
        *("API_KEY", "APIKEY", "TOKEN", "SECRET", "SECRET_KEY", "ACCESS_KEY", "PRIVATE_KEY"),
        *("PASSWORD", "PASSPHRASE", "CREDENTIALS"),
    )
)


def provider_at(origin: Origin, otherwise: Provider = CUSTOM) -> Provider:
    """The provider that this host belongs to; ``otherwise`` if the host is not known."""
    return next((each for each in PROVIDERS if each.serves(origin)), otherwise)


def provider_named(name: str) -> Provider | None:
    """The provider of that name."""
    return next((each for each in PROVIDERS if each.name == name), None)


def looks_like_key(variable: str) -> bool:
    """Whether a variable of this name usually holds a credential: ``*_API_KEY``, ``*_TOKEN``, …"""
    return f"_{variable.upper()}".endswith(_KEY_ENDINGS)
