"""Which output style a session has: ``--output-style``, or ``general.outputStyle``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qwen_code.base.errors import UsageError
from qwen_code.config.load import Config
from qwen_code.config.paths import CONFIG_DIR

if TYPE_CHECKING:
    from qwen_code.agent.output_styles import OutputStyle

STYLE_KEY = "general.outputStyle"
_DIRECTORY = "output-styles"


def styles_of(config: Config, notice: Callable[[str], None]) -> list[OutputStyle]:
    """The styles that can be chosen here, as they are now."""
    from qwen_code.agent.context import project_root
    from qwen_code.agent.output_styles import find_styles

    paths, settings = config.paths, config.settings
    if settings.reduction:
        return find_styles([], notice)
    places = [(paths.qwen_home / _DIRECTORY, paths.home)]
    if settings.trusts_folder:
        of_project = project_root(paths.cwd) / CONFIG_DIR / _DIRECTORY
        places.append((of_project, of_project))
    return find_styles(places, notice)


def find_style(
    config: Config, notice: Callable[[str], None], *, is_attended: bool
) -> OutputStyle | None:
    """The style that the command line or settings want; ``None`` for none.

    Raises:
        UsageError: the command line wants one that there is not.
    """
    wanted = config.settings.usable(STYLE_KEY)
    if wanted is None:
        return None
    from qwen_code.agent.output_styles import DEFAULT
    from qwen_code.config.overrides import COMMAND_LINE

    name = str(wanted.value).strip()
    if name.casefold() in ("", DEFAULT):
        return None
    try:
        style = chosen(styles_of(config, notice), name)
    except UsageError as error:
        if wanted.source.path == COMMAND_LINE:
            raise
        notice(f"{wanted.source}: {error.message}, so it does not count")
        return None
    if style.needs_person and not is_attended:
        notice(f"the output style {style.name} needs a person, so it does not count here")
        return None
    return style


def chosen(styles: Sequence[OutputStyle], name: str) -> OutputStyle:
    """
    Raises:
        UsageError: there is no style of that name.
    """
    from qwen_code.agent.output_styles import DEFAULT, style_named

    style = style_named(styles, name)
    if style is None:
        names = ", ".join([DEFAULT, *(each.name for each in styles)])
        raise UsageError(f"there is no output style {name!r}", hint=f"There are: {names}.")
    return style


def save_style(config: Config, name: str, notice: Callable[[str], None]) -> OutputStyle | None:
    """Keep the choice in the user's settings; ``default`` ends it.

    Raises:
        UsageError: there is no such style, or the machine's settings or a mode of the run decide.
        ConfigError: the file cannot be written.
    """
    from qwen_code.agent.output_styles import DEFAULT
    from qwen_code.config.settings_edit import save_user_value

    if config.settings.reduction:
        raise UsageError("a run without customizations keeps its style")
    owner = config.settings.usable(STYLE_KEY)
    if owner is not None and owner.source.path == config.paths.system_settings:
        raise UsageError(f"{owner.source} decides about the output style")
    style = None if name.casefold() == DEFAULT else chosen(styles_of(config, notice), name)
    save_user_value(config.paths, STYLE_KEY, None if style is None else style.name)
    return style
