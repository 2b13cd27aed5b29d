"""Makes the hooks of a session from settings, and calls them at the session's fixed points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from qwen_code.agent.hooks.dispatch import Dispatch, Facts
from qwen_code.agent.hooks.entries import Hook
from qwen_code.agent.hooks.runner import Runner, Told
from qwen_code.agent.hooks.session import SessionHooks
from qwen_code.auth.stored_secrets import remember_stored_secrets
from qwen_code.config import env_names
from qwen_code.config.load import Config
from qwen_code.wiring.hooks import find_hooks

if TYPE_CHECKING:
    from qwen_code.agent.agent import Agent
    from qwen_code.agent.hooks.answers import Answer
    from qwen_code.base.stop import Stop

_ALLOWED_URLS = "security.allowedHttpHookUrls"
_ALLOW_PRIVATE = "security.allowPrivateNetworkHooks"
_MAX_BLOCKS = "stopHookBlockingCap"
_USUAL_BLOCKS, _MAX_BLOCKS_ALLOWED = 8, 100


def make_hooks(
    config: Config, find_agent: Callable[[], Agent], notice: Callable[[str], None]
) -> SessionHooks:
    """The user's hooks, and those of a project that the user trusts."""
    remember_stored_secrets(config)
    found = find_hooks(config, notice)
    for source in found:
        if not source.is_trusted:
            notice(f"{source.file} defines hooks; to let them run: qwen hooks trust")
    runner = Runner(
        cwd=config.paths.cwd,
        environ=config.environment.child_environment(),
        notice=notice,
        others={"http": partial(_send, config, notice), "prompt": partial(_ask, find_agent)},
    )

    def facts() -> Facts:
        agent = find_agent()
        session = agent.session
        mode = agent.permission.judge.mode
        transcript = str(session.path) if session.is_recorded else ""
        return Facts(session.id, transcript, mode, session.prompt_count)

    dispatch = Dispatch(
        [hook for source in found if source.is_trusted for hook in source.hooks],
        runner,
        cwd=config.paths.cwd,
        facts=facts,
        notice=notice,
    )
    return SessionHooks(dispatch, max_blocks=_max_blocks(config))


def _send(
    config: Config, notice: Callable[[str], None], hook: Hook, told: Told, stop: Stop
) -> Answer:
    """Call an http hook. What speaks HTTP is imported with the first one."""
    from qwen_code.agent.hooks.http import HttpHooks
    from qwen_code.auth.enrolment import AGENT

    def variable(name: str, hook: Hook) -> str:
        if hook.of_project and name.upper() in config.environment.key_names:
            notice(
                f"the project's hook {hook.url!r} does not get ${name}, which holds a model's key"
            )
            return ""
        value = config.environment.first(name)
        return value.text if value else ""

    client = HttpHooks(
        config.network,
        user_agent=AGENT,
        variable=variable,
        allowed=_allowed_urls(config),
        allow_private=config.settings.first(_ALLOW_PRIVATE, bool) or False,
    )
    return client(hook, told, stop)


def _ask(find_agent: Callable[[], Agent], hook: Hook, told: Told, stop: Stop) -> Answer:
    from qwen_code.agent.hooks.prompts import PromptHooks

    return PromptHooks(lambda: find_agent().model_or_none)(hook, told, stop)


def _allowed_urls(config: Config) -> Sequence[str]:
    """The user's list, else the project's: a project may narrow what its hooks can reach."""
    found = config.settings.lookup(_ALLOWED_URLS)
    own = config.settings.first(_ALLOWED_URLS, list[str])
    if own is not None:
        return own
    projects = [each.value for each in found if each.status == "untrusted"]
    return [text for each in projects[:1] for text in each if isinstance(text, str)]


def _max_blocks(config: Config) -> int:
    value = config.environment.first(env_names.QWEN_CODE_STOP_HOOK_BLOCK_CAP)
    text = value.text.strip() if value and value.source.project is None else ""
    number = int(text) if text.isdecimal() else config.settings.first(_MAX_BLOCKS, int)
    return min(number, _MAX_BLOCKS_ALLOWED) if number and number > 0 else _USUAL_BLOCKS
