"""Asks whether to trust the MCP servers, hooks, skills and agents that a project defines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from qwen_code.base.text import visible_text
from qwen_code.config.load import Config
from qwen_code.config.settings import has_definitions
from qwen_code.config.trust import TrustStore
from qwen_code.mcp import any_defined
from qwen_code.wiring.hooks import find_hooks, has_hooks
from qwen_code.wiring.reports.trust import hooks_in_words, server_in_words


def asked_to_trust_folder(
    config: Config, read_line: Callable[[str], str], write: Callable[[str], None]
) -> bool:
    """Ask whether to trust the current folder, if the user was not asked yet. ``no`` is remembered,
    as Node Qwen Code does it. Returns whether it is trusted from now on."""
    from qwen_code.config.folder_trust import is_folder_trusted, save_answer  # few want that

    if is_folder_trusted(config.paths) is not None:
        return False
    write(f"Do you trust the files in {visible_text(str(config.paths.cwd))}?\n")
    try:
        answer = read_line("[y / no / Enter: not now] ")
    except (EOFError, KeyboardInterrupt):
        write("\n")
        return False
    answer = answer.strip().lower()
    if answer in ("y", "yes", "n", "no"):
        save_answer(config.paths, trusts=answer in ("y", "yes"))
    return answer in ("y", "yes")


def ask_for_trust(
    config: Config, read_line: Callable[[str], str], write: Callable[[str], None]
) -> None:
    """Ask about each one that is not trusted yet. No answer means no, until the next start."""
    for folder, digest, lines in _untrusted(config):
        write(f"The project {visible_text(str(folder))} wants to use:\n")
        write("".join(f"  {line}\n" for line in lines))
        try:
            answer = read_line("Let it, on this machine, as it is now? [y/N] ").strip().lower()
        except (EOFError, KeyboardInterrupt):
            write("\n")
            return
        if answer in ("y", "yes"):
            TrustStore.load(config.paths).trust_definition(folder, digest)


def _untrusted(config: Config) -> Iterator[tuple[Path, str, list[str]]]:
    def ignore(_: str) -> None:
        """Problems are reported when the session starts."""

    if any_defined(config.paths, config.settings):
        from qwen_code.mcp.definitions import find_definitions

        for server in find_definitions(config.paths, config.settings, ignore):
            if server.folder and not server.is_trusted:
                yield server.folder, server.digest, server_in_words(server)
    if has_hooks(config):
        for source in find_hooks(config, ignore):
            if source.folder and not source.is_trusted:
                yield source.folder, source.digest, hooks_in_words(source)
    yield from _untrusted_definitions(config, ignore)


def _untrusted_definitions(
    config: Config, ignore: Callable[[str], None]
) -> Iterator[tuple[Path, str, list[str]]]:
    if has_definitions(config.paths, config.settings, "skills"):
        from qwen_code.wiring.reports.definitions import skill_to_trust
        from qwen_code.wiring.skills import find_skills

        for each in find_skills(config, ignore):
            if each.definition.project and not (each.is_trusted or each.problem):
                yield each.definition.project, each.digest, skill_to_trust(each)
    if has_definitions(config.paths, config.settings, "agents"):
        from qwen_code.wiring.reports.definitions import agent_to_trust
        from qwen_code.wiring.subagents import find_agents

        for one in find_agents(config, ignore):
            if one.definition.project and not (one.is_trusted or one.problem):
                yield one.definition.project, one.digest, agent_to_trust(one)
