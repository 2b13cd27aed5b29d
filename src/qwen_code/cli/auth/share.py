"""``qwen auth share``: a saved key for Node Qwen Code, too."""

from __future__ import annotations

import click
import msgspec

from qwen_code.auth.profiles import ProfileStore
from qwen_code.base.errors import UsageError
from qwen_code.cli.options import common_options
from qwen_code.fronts.console import notice, refuse_model, say
from qwen_code.wiring.launch import Launch
from qwen_code.wiring.login_shared import share_login


@click.command()
@common_options
def share(launch: Launch) -> None:
    """Let Node Qwen Code use the saved key in use, or the one that --profile names.

    Node reads keys from settings.json alone. So the key is then also there, in plain text; only you
    can read that file. qwen auth logout removes it again.
    """
    refuse_model("sharing a key")
    config = launch.config(notice)
    store = ProfileStore(config.paths)
    profiles = store.load()
    name = launch.flags.profile or profiles.current
    if name is None:
        raise UsageError("there is no saved login to share", hint="Save one: qwen auth login")
    profile = profiles.get(name)
    if launch.flags.model:
        profile = msgspec.structs.replace(profile, model=launch.flags.model)
    key = store.key_of(name, profile)
    if key is None:
        raise UsageError(f"the login {name} has no API key", hint="See: qwen auth list")
    where = share_login(config.paths, name, profile, key)
    say(f"Node Qwen Code uses {name} from now on. The key is also in {where}, in plain text.")
