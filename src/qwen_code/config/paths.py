"""Where this program keeps its files, and which folder a file belongs to."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from qwen_code.config import env_names

CONFIG_DIR = ".qwen"
"""The directory for this program's files, in a project and in the home directory."""

WORKTREES_DIR = "worktrees"
"""The directory in a project's `CONFIG_DIR` for the git worktrees of ``--worktree``."""

_MAX_NAME_LENGTH = 200

CONFIG_FILE_LIMIT_BYTES = 1 << 20
"""No settings or ``.env`` file is read beyond this size."""


class Paths(msgspec.Struct, frozen=True):
    """The directories of this run. All are absolute; none needs to exist."""

    home: Path
    qwen_home: Path
    cwd: Path
    sudo_uid: int | None = None
    """Who called this program by sudo, if that is known."""
    system_settings: Path | None = None
    system_defaults: Path | None = None
    """The files of this machine, above and below all others."""
    folder_trust: Path | None = None
    """Where else Node Qwen Code keeps which folders the user trusts."""

    @classmethod
    def of(cls, environ: Mapping[str, str], cwd: Path) -> Paths:
        """The paths that ``environ`` (the shell's) leads to; ``cwd`` must be absolute."""
        home = _home(environ, cwd)
        chosen = environ.get(env_names.QWEN_HOME, "").strip()
        qwen_home = cwd / _expanded(chosen, home) if chosen else home / CONFIG_DIR
        caller = environ.get(env_names.SUDO_UID, "")
        policy = environ.get(env_names.QWEN_CODE_SYSTEM_SETTINGS_PATH, "").strip()
        defaults = environ.get(env_names.QWEN_CODE_SYSTEM_DEFAULTS_PATH, "").strip()
        trust = environ.get(env_names.QWEN_CODE_TRUSTED_FOLDERS_PATH, "").strip()
        directory = _system_directory(environ)
        return cls(
            home,
            qwen_home,
            cwd,
            int(caller) if caller.isdecimal() else None,
            cwd / policy if policy else directory / "settings.json",
            cwd / defaults if defaults else directory / "system-defaults.json",
            cwd / trust if trust else None,
        )

    @property
    def settings_file(self) -> Path:
        return self.qwen_home / "settings.json"

    @property
    def profiles_file(self) -> Path:
        return self.qwen_home / "profiles.json"

    @property
    def trusted_folders_file(self) -> Path:
        return self.qwen_home / "trusted_folders.json"

    @property
    def folder_trust_file(self) -> Path:
        """Which folders the user trusts, for Node Qwen Code too."""
        return self.folder_trust or self.qwen_home / "trustedFolders.json"

    @property
    def oauth_creds_file(self) -> Path:
        return self.qwen_home / "oauth_creds.json"

    @property
    def accounts_dir(self) -> Path:
        """Credentials of named logins; that of the login without a name is ``oauth_creds.json``."""
        return self.qwen_home / "accounts"

    @property
    def oauth_pending_dir(self) -> Path:
        """Device flows that have begun and not ended."""
        return self.qwen_home / "oauth_pending"

    @property
    def former_oauth_pending_file(self) -> Path:
        """Where the previous version kept its only device flow."""
        return self.qwen_home / "oauth_pending.json"

    @property
    def quota_file(self) -> Path:
        """The count of requests of each account."""
        return self.qwen_home / "quota.sqlite"

    @property
    def costs_file(self) -> Path:
        """What all requests cost on each day."""
        return self.qwen_home / "costs.sqlite"

    @property
    def logs_dir(self) -> Path:
        return self.qwen_home / "logs"

    @property
    def mcp_dir(self) -> Path:
        """Sign-ins at MCP servers."""
        return self.qwen_home / "mcp"

    @property
    def models_dir(self) -> Path:
        """Weights of the embedded model."""
        return self.qwen_home / "models"

    @property
    def output_language_file(self) -> Path:
        """Where Node Qwen Code keeps the language of the answers."""
        return self.qwen_home / "output-language.md"

    @property
    def history_file(self) -> Path:
        """What was typed at the prompt."""
        return self.qwen_home / "history"

    def project_dir(self, root: Path) -> Path:
        """Where a project's sessions, checkpoints and long outputs are kept, outside of it."""
        from urllib.parse import quote

        name = quote(os.fsencode(os.path.realpath(root)).strip(b"/"), safe=" ") or "root"
        if len(name) > _MAX_NAME_LENGTH:
            from hashlib import sha256  # slow to import, and few paths are as long

            name = f"{sha256(name.encode()).hexdigest()[:16]}-{name[-_MAX_NAME_LENGTH + 20 :]}"
        return self.projects / name

    @property
    def projects(self) -> Path:
        """Where all projects' sessions, checkpoints and long outputs are kept."""
        return self.qwen_home / "projects"

    def memories(self, root: Path) -> list[Path]:
        """What Node Qwen Code remembers by itself, of the user and of a project: the indexes."""
        own = self.projects / node_directory_name(root)
        folders = (self.qwen_home / "memories", own / "memory")
        return [folder / "MEMORY.md" for folder in folders]

    @property
    def local_server_file(self) -> Path:
        """The address of the running embedded model."""
        return self.qwen_home / "local_server.json"

    def beside(self, text: str, file: Path | None) -> Path:
        """The path that a setting names: ``~`` is home, and a relative one is relative to the
        ``file`` that holds the setting, or to the current directory if ``file`` is ``None``."""
        return (file.parent if file else self.cwd) / _expanded(text, self.home)


def node_directory_name(root: Path) -> str:
    """How Node Qwen Code names the directory of a project below ``QWEN_HOME/projects``."""
    real = os.path.realpath(root)
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in real)


def owner_of(file: Path) -> Path:
    """The folder that the file belongs to, by real path: for files in ``.qwen``, the parent of it.

    Symlinks are resolved first, so that a folder cannot pass off the file of another as its own.
    """
    parent = Path(os.path.realpath(file)).parent
    return parent.parent if parent.name == CONFIG_DIR else parent


def _system_directory(environ: Mapping[str, str]) -> Path:
    if sys.platform == "darwin":
        return Path("/Library/Application Support/QwenCode")
    if os.name == "nt":
        return Path(environ.get(env_names.PROGRAMDATA) or "C:\\ProgramData") / "qwen-code"
    return Path("/etc/qwen-code")


def _home(environ: Mapping[str, str], cwd: Path) -> Path:
    names = (env_names.HOME, env_names.USERPROFILE)
    for name in reversed(names) if os.name == "nt" else names:
        if text := environ.get(name, "").strip():
            return cwd / text
    try:
        import pwd  # absent on Windows

        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except (ImportError, KeyError):  # a container can run as a user without an entry
        return Path(cwd.anchor)


def _expanded(text: str, home: Path) -> Path:
    path = Path(text)
    return home.joinpath(*path.parts[1:]) if path.parts[:1] == ("~",) else path
