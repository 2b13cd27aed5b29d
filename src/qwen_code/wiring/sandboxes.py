"""Which sandbox a session's commands run in: by the option, the variable and the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qwen_code.base.errors import ConfigError
from qwen_code.config import env_names

if TYPE_CHECKING:
    from qwen_code.config.load import Config
    from qwen_code.tools.sandbox import Sandbox
    from qwen_code.tools.workspace import Workspace
    from qwen_code.wiring.agent import AgentOptions
    from qwen_code.wiring.tool_settings import SandboxPolicy

_KEY = "tools.sandbox"
_POLICY = "tools.executionSandbox"


def find_sandbox_of(
    config: Config, options: AgentOptions, find_workspace: Callable[[], Workspace]
) -> Sandbox | None:
    """The sandbox that the user wants; ``None`` for no sandbox.

    Raises:
        ConfigError: it does not work on this machine, or it is not known: never no sandbox instead.
    """
    kind = _kind(config, is_wanted=options.sandbox)
    policy = _policy(config)
    if policy is not None and kind == "false":
        kind = "true" if policy.backend == "auto" else policy.backend
    if kind == "false":
        return None
    from qwen_code.tools.sandbox import find_sandbox  # most sessions have none
    from qwen_code.tools.sandbox_paths import Layout, layout

    workspace, environ = find_workspace(), config.environment.child_environment()
    settings = config.settings
    network = options.sandbox_network or settings.first("tools.sandboxNetwork", bool) or False
    fixed = workspace.roots
    if policy is not None:
        network = policy.network == "open"
        fixed = fixed[1:] if policy.filesystem == "workspace-write" else fixed

    def look() -> Layout:
        found = layout(workspace.roots, workspace.closed, environ)
        return found if policy is None else found.with_fixed(fixed)

    if kind not in ("docker", "podman"):
        return find_sandbox(look, kind, network=network)
    from qwen_code.tools.container import find_container

    named = config.environment.first(env_names.QWEN_SANDBOX_IMAGE)
    image = options.sandbox_image or (named.text if named else "")
    image = image or settings.first("tools.sandboxImage", str) or ""
    return find_container(look, kind, image, network=network, environ=environ)


def _policy(config: Config) -> SandboxPolicy | None:
    """What the machine or the user says of every command.

    Raises:
        ConfigError: it cannot be read.
    """
    if config.settings.usable(_POLICY) is None:
        return None
    from qwen_code.wiring.tool_settings import sandbox_policy  # few settings have one

    found = sandbox_policy(config.settings)
    return found[0] if found else None


def _kind(config: Config, *, is_wanted: bool) -> str:
    variable = config.environment.first(env_names.QWEN_SANDBOX)
    found = config.settings.usable(_KEY)
    if variable is not None:
        kind = _checked(variable.text, str(variable.source))
    elif found is not None:
        kind = _checked(found.value, str(found.source))
    else:
        kind = "false"
    return "true" if is_wanted and kind == "false" else kind


def _checked(value: object, where: str) -> str:
    """``value`` as one of `SANDBOX_KINDS`.

    Raises:
        ConfigError: it is not one of them.
    """
    from qwen_code.config.schema import SANDBOX_KINDS, sandbox_kind  # most sessions have none

    kind = sandbox_kind(value)
    if kind is None:
        raise ConfigError(
            f"{where}: {value!r} is not a sandbox", hint=f"Use one of: {', '.join(SANDBOX_KINDS)}."
        )
    return kind
