"""What a sandbox hides and what it does not let change, as data and found on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from qwen_code.base.files import read_bounded
from qwen_code.config.paths import CONFIG_DIR
from qwen_code.tools.closed import IGNORE_FILES, Closed

CREDENTIALS = (
    *(".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".config/gcloud", ".config/gh"),
    *(".netrc", "_netrc", ".npmrc", ".yarnrc.yml", ".pypirc", ".git-credentials", ".pgpass"),
    *(".config/git/credentials", ".config/hub", ".config/op", ".config/rclone", ".config/doctl"),
    *(".config/github-copilot", ".config/sops", ".config/pip", ".config/containers"),
    *(".codex", ".claude", ".claude.json", ".gemini", ".config/opencode", ".vibe", ".kimi"),
    *(".local/share/keyrings", ".local/share/opencode", ".password-store", ".config/Bitwarden"),
    *(".mozilla", ".config/google-chrome", ".config/chromium", ".config/BraveSoftware"),
    *(".thunderbird", ".terraform.d", ".terraformrc", ".vault-token", ".my.cnf", ".mylogin.cnf"),
    *(".cargo/credentials", ".cargo/credentials.toml", ".composer/auth.json", ".gem/credentials"),
    *(".m2/settings.xml", ".gradle/gradle.properties", ".nuget/NuGet", ".config/helm"),
    *(".subversion/auth", ".s3cfg", ".boto", ".fly", ".vercel", ".netlify", ".heroku"),
    *(".oci", ".databrickscfg", ".snowflake", ".kaggle", ".huggingface", ".supabase"),
    *(".cache/huggingface/token", ".wandb", ".bash_history", ".zsh_history", ".python_history"),
    *(".node_repl_history", ".psql_history", ".mysql_history", ".local/share/fish/fish_history"),
    *(".colima", ".rd", ".lima", ".orbstack", ".local/share/containers", "Library/Keychains"),
    *("Library/Cookies", "Library/Application Support/Google/Chrome"),
    *("Library/Application Support/Firefox",),
)
"""Where programs keep keys, tokens, cookies and what was typed, below the home directory, and where
engines of containers have their sockets."""

_FIXED = (
    *(".qwen", ".claude", ".codex", ".cursor", ".gemini", ".vscode", ".githooks", ".husky"),
    *(".env", ".envrc", ".mcp.json", ".npmrc", ".yarnrc.yml", ".gitconfig", *IGNORE_FILES),
    *(".bashrc", ".profile", ".bash_profile", ".zshrc", ".zshenv"),
)
"""What decides, in the roots of the workspace, which programs run outside of the sandbox later."""

_NOT_MADE = (".env", ".envrc", ".mcp.json", ".claude", ".codex", ".cursor", ".gemini", ".vscode")
"""Of these, what is removed if a command makes it, unless git tracks it. The directories ``.qwen``
and of git's hooks are mounted, so that they cannot be made at all."""

_GIT = ("hooks", "config", "config.worktree", "info/attributes", "commondir", "gitdir")
"""The same in a git directory."""

_MAX_GIT_DIRECTORIES = 200
_MAX_INDEX_BYTES = 100_000_000
_SOCKET_VARIABLES = ("SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "DOCKER_HOST", "GPG_AGENT_INFO")
UNSET = (*_SOCKET_VARIABLES, "XDG_RUNTIME_DIR", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY")
"""Variables that lead to sockets."""


class Layout(msgspec.Struct, frozen=True):
    """Real paths on this machine, as of now. ``hidden``: cannot be read. ``fixed``: cannot be
    changed. ``missing``: directories that do not exist and cannot be made. ``not_made``: what does
    not exist, and is removed if a command makes it."""

    roots: tuple[Path, ...]
    hidden: tuple[Path, ...]
    fixed: tuple[Path, ...]
    missing: tuple[Path, ...]
    not_made: tuple[Path, ...]
    git: tuple[Path, ...] = ()
    """Git directories in the roots: they can be changed, and cannot be renamed."""

    def with_fixed(self, folders: Sequence[Path]) -> Layout:
        """The same, where nothing in ``folders`` can be changed."""

        def outside(paths: Iterable[Path]) -> tuple[Path, ...]:
            return tuple(p for p in paths if not any(p.is_relative_to(each) for each in folders))

        return msgspec.structs.replace(
            self,
            fixed=(*folders, *self.fixed),
            missing=outside(self.missing),
            not_made=outside(self.not_made),
            git=outside(self.git),
        )


def layout(roots: Sequence[Path], closed: Closed, environ: Mapping[str, str]) -> Layout:
    """What there is to hide and to protect for a workspace of ``roots``."""
    home = Path(os.path.realpath(environ.get("HOME") or "/nonexistent"))
    hidden = [*closed.private, *(home / name for name in CREDENTIALS), *_sockets(environ)]
    hidden += (path for root in roots for path in closed.below(root))
    git = [found for root in roots for found in _git_directories(root)]
    fixed = [root / name for root in roots for name in _FIXED]
    fixed += [directory / name for directory in git for name in _GIT]
    fixed += closed.files()
    folders = [*(root / CONFIG_DIR for root in roots), *(directory / "hooks" for directory in git)]
    not_made = (root / name for root in roots for name in _NOT_MADE if not _tracks(root, name))
    return Layout(
        tuple(roots),
        tuple(dict.fromkeys(Path(os.path.realpath(path)) for path in hidden if path.exists())),
        tuple(path for path in fixed if path.exists() and not path.is_symlink()),
        tuple(path for path in folders if not os.path.lexists(path)),
        tuple(path for path in not_made if not os.path.lexists(path)),
        tuple(git),
    )


def _tracks(root: Path, name: str) -> bool:
    """Whether git may have the file, so that a checkout brings it."""
    try:
        return name.encode() in read_bounded(root / ".git" / "index", _MAX_INDEX_BYTES)
    except OSError:
        return False


def _sockets(environ: Mapping[str, str]) -> Iterator[Path]:
    for name in _SOCKET_VARIABLES:
        for part in environ.get(name, "").replace(",", ";").split(";"):
            text = part.removeprefix("unix:").removeprefix("path=").removeprefix("//")
            if text.startswith("/"):
                yield Path(text)


def _git_directories(root: Path) -> Iterator[Path]:
    """The git directory of ``root``, those of submodules, and of repositories two levels down."""
    found = [root / ".git", *root.glob("*/.git"), *root.glob("*/*/.git")]
    found += [*root.glob(".git/modules/*"), *root.glob(".git/modules/*/modules/*")]
    directories = (path for path in found if path.is_dir() and path.resolve() == path)
    return (path for _, path in zip(range(_MAX_GIT_DIRECTORIES), directories, strict=False))
