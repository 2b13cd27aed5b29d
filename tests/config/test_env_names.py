from __future__ import annotations

import pytest

from qwen_code.config import env_names
from qwen_code.config.providers import KEY_NAMES


def test_canonical_names_come_first() -> None:
    first = [names[0] for names in (env_names.API_KEY, env_names.BASE_URL, env_names.MODEL)]
    assert first == ["LLAMA_API_KEY", "LLAMA_API_BASE_URL", "LLAMA_API_MODEL"]


@pytest.mark.parametrize(
    "names",
    [env_names.HTTP_PROXY, env_names.HTTPS_PROXY, env_names.ALL_PROXY, env_names.NO_PROXY],
)
def test_proxies_are_the_users_alone_in_both_cases(names: tuple[str, str]) -> None:
    assert set(names) <= env_names.USER_ONLY
    assert names[0].upper() == names[1]


def test_what_a_project_may_set_is_not_user_only() -> None:
    api = (*env_names.API_KEY, *env_names.BASE_URL, *env_names.MODEL)
    assert not env_names.USER_ONLY & {*api, *KEY_NAMES}
