"""The provider table: addresses, key variables and quirks of the services people use."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import msgspec

from qwen_code.auth.types import HeaderStyle
from qwen_code.base.url import Origin
from qwen_code.config import env_names


class Preset(msgspec.Struct, frozen=True):
    """What is known of one provider.

    ``hosts`` match exactly or as a parent domain, never as a substring. ``key_names`` are the
    provider's own variables; ``base_url`` is ``None`` where every customer has another one.
    """

    name: str
    title: str
    hosts: tuple[str, ...]
    key_names: tuple[str, ...] = ()
    base_url: str | None = None
    default_model: str | None = None
    header_style: HeaderStyle = HeaderStyle.BEARER
    keys_page: str | None = None

    def serves(self, origin: Origin) -> bool:
        """Whether ``origin`` is one of this provider's hosts or a subdomain of one."""
        return any(origin.host == host or origin.host.endswith(f".{host}") for host in self.hosts)

    def headers(self, version: str, method: str) -> Mapping[str, str]:
        """Headers that this provider wants with every request beside the credential."""
        if self.name.startswith("bailian"):
            return dashscope_headers(version, method)
        if self.name == "openrouter":
            return {"x-title": "Qwen Code"}
        return {}


def dashscope_headers(version: str, method: str) -> Mapping[str, str]:
    """What DashScope wants to know of its callers."""
    return {
        "x-dashscope-cachecontrol": "enable",
        "x-dashscope-useragent": f"QwenCode/{version} ({sys.platform})",
        "x-dashscope-authtype": method,
    }


OPENAI = Preset(
    "openai",
    "OpenAI",
    hosts=("api.openai.com",),
    key_names=("OPENAI_API_KEY",),
    base_url="https://api.openai.com/v1",
    keys_page="https://platform.openai.com/api-keys",
)

AZURE = Preset(
    "azure",
    "Azure OpenAI",
    hosts=("openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com"),
    key_names=(env_names.AZURE_OPENAI_API_KEY,),
    header_style=HeaderStyle.API_KEY,
)

PRESETS: tuple[Preset, ...] = (
    OPENAI,
    Preset(
        "bailian",
        "Alibaba Cloud Bailian (mainland China)",
        hosts=("dashscope.aliyuncs.com",),
        key_names=(env_names.DASHSCOPE_API_KEY,),
        base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
        default_model="qwen3-coder-plus",
        keys_page="https://bailian.console.aliyun.com/?tab=model#/api-key",
    ),
    Preset(
        "bailian-intl",
        "Alibaba Cloud Bailian (international)",
        hosts=("dashscope-intl.aliyuncs.com",),
        key_names=(env_names.DASHSCOPE_API_KEY,),
        base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        default_model="qwen3-coder-plus",
        keys_page="https://modelstudio.console.alibabacloud.com/?tab=model#/api-key",
    ),
    Preset(
        "modelscope",
        "ModelScope",
        hosts=("api-inference.modelscope.cn",),
        key_names=(env_names.MODELSCOPE_API_KEY,),
        base_url="https://api-inference.modelscope.cn/v1",
        default_model="Qwen/Qwen3-Coder-480B-A35B-Instruct",
        keys_page="https://modelscope.cn/my/myaccesstoken",
    ),
    Preset(
        "openrouter",
        "OpenRouter",
        hosts=("openrouter.ai",),
        key_names=(env_names.OPENROUTER_API_KEY,),
        base_url="https://openrouter.ai/api/v1",
        default_model="qwen/qwen3-coder",
        keys_page="https://openrouter.ai/keys",
    ),
    AZURE,
    Preset("custom", "Any OpenAI-compatible API", hosts=()),
)


def preset_at(origin: Origin) -> Preset:
    """The provider whose host this is, else the preset ``custom``."""
    return next((p for p in PRESETS if p.serves(origin)), PRESETS[-1])


def preset_named(name: str) -> Preset | None:
    """The provider of that name."""
    return next((p for p in PRESETS if p.name == name), None)
