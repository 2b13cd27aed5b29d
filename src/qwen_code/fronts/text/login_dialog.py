"""The sign-in dialog in plain lines: a method, and what it needs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from qwen_code.auth.api import Flags
from qwen_code.auth.login import clean_key, save_key, save_method
from qwen_code.auth.presets import PRESETS, Preset
from qwen_code.auth.sources import Gathered
from qwen_code.auth.types import Method
from qwen_code.base.errors import QwenError
from qwen_code.fronts.console import report
from qwen_code.fronts.text.loop import choose
from qwen_code.local.detect import FoundServer, find_servers
from qwen_code.local.store import WeightStore


class Choice(msgspec.Struct, frozen=True):
    """What was chosen: a method, and the profile that was saved or picked, if any."""

    method: str
    profile: str | None = None


class LoginDialog:
    """Asks, saves what was answered, and says what was chosen."""

    def __init__(
        self,
        read_line: Callable[[str], str],
        read_secret: Callable[[str], str],
        write: Callable[[str], None],
    ) -> None:
        self._read_line = read_line
        self._read_secret = read_secret
        self._write = write

    def run(self, gathered: Gathered, flags: Flags, method: str | None = None) -> Choice:
        """Go through the dialog; ``method`` skips the first question.

        Raises:
            EOFError, KeyboardInterrupt: the user left it; nothing was saved.
        """
        if method == Method.QWEN_OAUTH:
            return self._sign_in(gathered, flags)
        if method == Method.OPENAI:
            return self._api_key(gathered, flags)
        if method == Method.LOCAL:
            return self._local(gathered)
        saved = gathered.inputs.api.profiles.profiles
        servers = find_servers()
        options: list[tuple[str, Callable[[], Choice]]] = [
            (
                "Qwen OAuth (recommended): sign in with the browser",
                lambda: self._sign_in(gathered, flags),
            ),
            ("OpenAI-compatible API, with a key", lambda: self._api_key(gathered, flags)),
            (self._local_title(gathered), lambda: self._local(gathered)),
        ]
        for server in servers:
            title = f"{server.title} on this machine ({len(server.models)} models)"
            options.append((title, partial(self._found, gathered, server)))
        for name, profile in saved.items():
            title = f"Saved login {name}"
            options.append((title, partial(Choice, profile.method, name)))
        index = choose(
            "How do you want to reach a model?",
            [title for title, _ in options],
            read_line=self._read_line,
            write=self._write,
        )
        return options[index][1]()

    def _sign_in(self, gathered: Gathered, flags: Flags) -> Choice:
        from qwen_code.fronts.text.sign_in import SignInOptions, sign_in

        name = sign_in(gathered, SignInOptions(), profile=flags.profile, model=None)
        return Choice(Method.QWEN_OAUTH, name)

    def _api_key(self, gathered: Gathered, flags: Flags) -> Choice:
        preset = next((p for p in PRESETS if p.name == flags.provider), None)
        if preset is None and not flags.base_url:
            titles = [p.title for p in PRESETS]
            index = choose("Whose API?", titles, read_line=self._read_line, write=self._write)
            preset = PRESETS[index]
        base_url = flags.base_url
        if base_url is None and preset is not None and preset.base_url is None:
            base_url = self._read_line("Base URL (https://…/v1): ").strip()
        key = self._ask_key(preset)
        model = flags.model or self._read_line(f"Model{self._default(preset)}: ").strip() or None
        provider = preset.name if preset else None
        wanted = Flags(provider=provider, base_url=base_url, model=model, profile=flags.profile)
        name = save_key(gathered.paths, wanted, key)
        self._write(f"Saved as {name} in {gathered.paths.profiles_file} (only you can read it).\n")
        return Choice(Method.OPENAI, name)

    def _ask_key(self, preset: Preset | None) -> str:
        if preset and preset.keys_page:
            self._write(f"Keys are made at {preset.keys_page}\n")
        while True:
            text = self._read_secret("API key (not shown): ")
            try:
                return clean_key(text).reveal()
            except QwenError as error:
                report(error)

    def _default(self, preset: Preset | None) -> str:
        if preset and preset.default_model:
            return f" [{preset.default_model}]"
        return " (Enter: the endpoint's only one)"

    def _local_title(self, gathered: Gathered) -> str:
        ready = WeightStore(gathered.paths.models_dir).first_present()
        return "Embedded model, no account" + ("" if ready else " (qwen local pull first: 491 MB)")

    def _local(self, gathered: Gathered) -> Choice:
        save_method(gathered.paths, Method.LOCAL)
        return Choice(Method.LOCAL)

    def _found(self, gathered: Gathered, server: FoundServer) -> Choice:
        model = None
        if len(server.models) > 1:
            index = choose(
                "Which model?", server.models, read_line=self._read_line, write=self._write
            )
            model = server.models[index]
        wanted = Flags(
            base_url=server.base_url, model=model, profile=server.title.lower().replace(" ", "-")
        )
        name = save_key(gathered.paths, wanted, "none-needed")
        return Choice(Method.OPENAI, name)
