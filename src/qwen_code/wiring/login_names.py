"""Names of saved logins: each login has its own, and none is overwritten without asking."""

from __future__ import annotations

from collections.abc import Generator

from qwen_code.auth.profiles import Profile, ProfileStore
from qwen_code.auth.stores import DEFAULT_NAME
from qwen_code.auth.types import Method
from qwen_code.base.errors import ConfigError, QwenError
from qwen_code.base.secret import Secret
from qwen_code.config.paths import Paths
from qwen_code.wiring.login_steps import Ask, Option, Pick, Step


def name_of_login(
    paths: Paths, wanted: str, base_url: str, key: Secret | None
) -> Generator[Step, str, str]:
    """The name to save a key under: ``wanted``, unless a login would be lost by that. Then it is
    asked whether to replace that one, or what else to call this one."""
    store = ProfileStore(paths)
    profiles = store.load().profiles
    known = profiles.get(wanted)
    if known is None and wanted != DEFAULT_NAME:
        store.check(wanted, Method.OPENAI)
        return wanted
    free = free_name(wanted, profiles)
    if known is not None and known.method == Method.OPENAI:
        before = store.replaced_key(wanted, known)
        is_same = is_same_endpoint(known, base_url)
        if is_same and (key is None or before == key):
            return wanted
        shown = f" (key {before.masked})" if before else ""
        replace = Option("replace", f"Replace {wanted}", f"{summary(known)}{shown}")
        keep = Option("keep", f"Keep it, and save this one as {free}")
        other = Option("other", "Another name")
        question = f"There is a saved login {wanted} already."
        # A new key for the same endpoint usually takes the place of the former one.
        options = (replace, keep, other) if is_same else (keep, replace, other)
        picked = yield Pick(question, options)
        if picked == replace.key:
            return wanted
        if picked == keep.key:
            return free
    return (yield from new_name(paths, free))


def new_name(paths: Paths, usual: str) -> Generator[Step, str, str]:
    """A name that no login has; ``usual``, or one made from it, is proposed."""
    profiles = ProfileStore(paths).load().profiles
    problem: QwenError | None = None
    default = free_name(usual, profiles)
    while True:
        text = yield Ask("Name of this login", default=default, problem=problem)
        name = text.strip() or default
        try:
            if name in profiles:
                raise ConfigError(f"there is a saved login {name} already")
            ProfileStore(paths).check(name, Method.OPENAI)
        except QwenError as error:
            problem = error
        else:
            return name


def is_same_endpoint(profile: Profile, base_url: str) -> bool:
    """Whether a saved login is one for this address."""
    known = profile.address
    return known is not None and known.rstrip("/") == base_url.rstrip("/")


def free_name(wanted: str, taken: dict[str, Profile]) -> str:
    """``wanted``, or the first of ``wanted-2``, ``wanted-3``, … that no login has."""
    names = (wanted, *(f"{wanted}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken and name != DEFAULT_NAME)


def summary(profile: Profile) -> str:
    """A saved login in a few words: method, address and model."""
    facts = (profile.method, profile.address, profile.model)
    return " · ".join(fact for fact in facts if fact)
