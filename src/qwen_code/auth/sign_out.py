"""End logins: revoke and forget what is saved, cancel what waits for approval."""

from __future__ import annotations

from qwen_code.auth.enrolment import AGENT, CHOICE
from qwen_code.auth.oauth.pending import PendingStore
from qwen_code.auth.oauth.revocation import revoke
from qwen_code.auth.oauth.server import choose_server
from qwen_code.auth.oauth.token import load_token
from qwen_code.auth.offers import provider_entries
from qwen_code.auth.profiles import Profile, ProfileStore
from qwen_code.auth.resolver import OWN_CHOICE
from qwen_code.auth.shared import forget_shared
from qwen_code.auth.stores import DEFAULT_NAME, login_ref, open_store
from qwen_code.auth.types import Method
from qwen_code.base.clock import Clock
from qwen_code.base.errors import QwenError
from qwen_code.base.http import HttpClient, Timeouts
from qwen_code.config.load import Config
from qwen_code.config.settings_edit import save_user_value


def forget_method(config: Config) -> None:
    """Take the saved choice back if no login of that method is left.

    Node Qwen Code's is kept where it has its own endpoints: it does not run without.
    """
    left = {profile.method for profile in ProfileStore(config.paths).load().profiles.values()}
    keys = [OWN_CHOICE] if provider_entries(config.settings) else [OWN_CHOICE, CHOICE]
    for key in keys:
        chosen = config.settings.first(key, str)
        if chosen in (Method.OPENAI, Method.QWEN_OAUTH) and chosen not in left:
            save_user_value(config.paths, key, None)


def log_out(config: Config, name: str, profile: Profile) -> list[str]:
    """Revoke and forget a saved login; returns what was done, a line each.

    Raises:
        ConfigError: something cannot be removed.
    """
    if profile.method != Method.QWEN_OAUTH:
        profiles = ProfileStore(config.paths)
        key = profiles.replaced_key(name, profile)
        profiles.remove(name)
        said = f"Removed the saved login {name} from {config.paths.profiles_file}."
        return [said, *forget_shared(config.paths, key.reveal() if key else "")]
    store = open_store(login_ref(config.paths, name))
    try:
        token = load_token(store)
    except QwenError:
        token, said = None, "nothing to revoke: the file is damaged"
    else:
        said = "there was nothing to revoke"
    if token is not None:
        choice = choose_server(config.environment, config.settings)
        http = HttpClient(config.network, user_agent=AGENT, timeouts=Timeouts(5, 10, 5))
        said = revoke(token, token.issuer or choice.known(), http)
    # A renewal that is under way finds nothing to replace, and stores nothing.
    removed = store.remove()
    ProfileStore(config.paths).remove(name)
    label = "" if name == DEFAULT_NAME else f" of profile {name}"
    who = f" ({token.account})" if token and token.account else ""
    return [f"Signed out{label}{who}: {said}.", *(f"Removed {place}." for place in removed)]


def cancel_pending(config: Config, name: str | None, clock: Clock) -> list[str]:
    """Cancel the sign-ins of ``name``, or of all names, that wait to be approved; returns what was
    done, a line each.

    A code that is approved afterwards has no effect: its tokens are revoked.
    """
    paths = config.paths
    pending = PendingStore(paths.oauth_pending_dir, paths.former_oauth_pending_file)
    return [
        f"Cancelled the sign-in of profile {flow.profile or DEFAULT_NAME} at "
        f"{flow.server.issuer.name} that was waiting for approval."
        for flow in pending.clear_profile(name, clock.now())
    ]
