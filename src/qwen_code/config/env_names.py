"""Every environment variable that this program knows by name, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

# The OpenAI-compatible API. The canonical name comes first, then its aliases. The variables that
# hold a provider's own key are in the provider table.
API_KEY = ("LLAMA_API_KEY", "OPENAI_API_KEY")
BASE_URL = ("LLAMA_API_BASE_URL", "OPENAI_BASE_URL", "OPENAI_API_BASE")
MODEL = ("LLAMA_API_MODEL", "OPENAI_MODEL", "QWEN_MODEL")

# Azure's, beside its key.
AZURE_OPENAI_ENDPOINT = "AZURE_OPENAI_ENDPOINT"
AZURE_OPENAI_DEPLOYMENT = ("AZURE_OPENAI_DEPLOYMENT", "AZURE_OPENAI_DEPLOYMENT_NAME")
AZURE_OPENAI_API_VERSION = ("AZURE_OPENAI_API_VERSION", "OPENAI_API_VERSION")

# The sign-in.
QWEN_OAUTH_BASE_URL = "QWEN_OAUTH_BASE_URL"
QWEN_OAUTH_ISSUER = "QWEN_OAUTH_ISSUER"
QWEN_OAUTH_CLIENT_ID = "QWEN_OAUTH_CLIENT_ID"
QWEN_OAUTH_SCOPE = "QWEN_OAUTH_SCOPE"
QWEN_OAUTH_RESOURCE_URL = "QWEN_OAUTH_RESOURCE_URL"

QWEN_EMULATOR_UPSTREAM_KEY = "QWEN_EMULATOR_UPSTREAM_KEY"
"""The key of the API behind ``qwen emulator --upstream``."""

# Where files are.
QWEN_HOME = "QWEN_HOME"
HOME = "HOME"
USERPROFILE = "USERPROFILE"
"""The home directory on Windows."""

# The network. Proxies also have a lower-case name, which comes first (as in curl).
HTTP_PROXY = ("http_proxy", "HTTP_PROXY")
HTTPS_PROXY = ("https_proxy", "HTTPS_PROXY")
ALL_PROXY = ("all_proxy", "ALL_PROXY")
NO_PROXY = ("no_proxy", "NO_PROXY")
REQUEST_METHOD = "REQUEST_METHOD"
"""Set by a web server for its CGI programs, where a client can set HTTP_PROXY by a header."""
SSL_CERT_FILE = "SSL_CERT_FILE"
SSL_CERT_DIR = "SSL_CERT_DIR"
NODE_EXTRA_CA_CERTS = "NODE_EXTRA_CA_CERTS"
QWEN_CLIENT_CERT = "QWEN_CLIENT_CERT"
QWEN_CLIENT_KEY = "QWEN_CLIENT_KEY"
"""The path of the private key, not the key."""

# The terminal, and what its user prefers.
NO_COLOR = "NO_COLOR"
FORCE_COLOR = "FORCE_COLOR"
CLICOLOR_FORCE = "CLICOLOR_FORCE"
TERM = "TERM"
COLUMNS = "COLUMNS"
CI = "CI"
DISPLAY = "DISPLAY"
WAYLAND_DISPLAY = "WAYLAND_DISPLAY"
SSH_CONNECTION = "SSH_CONNECTION"
NO_BROWSER = "NO_BROWSER"
SUDO_UID = "SUDO_UID"
PROGRAMDATA = "PROGRAMDATA"
QWEN_CODE_SYSTEM_SETTINGS_PATH = "QWEN_CODE_SYSTEM_SETTINGS_PATH"
QWEN_CODE_SYSTEM_DEFAULTS_PATH = "QWEN_CODE_SYSTEM_DEFAULTS_PATH"
QWEN_CODE_TRUSTED_FOLDERS_PATH = "QWEN_CODE_TRUSTED_FOLDERS_PATH"
QWEN_STORE = "QWEN_STORE"
QWEN_DISABLED_SLASH_COMMANDS = "QWEN_DISABLED_SLASH_COMMANDS"
QWEN_SANDBOX = "QWEN_SANDBOX"
QWEN_SANDBOX_IMAGE = "QWEN_SANDBOX_IMAGE"
QWEN_CODE_SAFE_MODE = "QWEN_CODE_SAFE_MODE"
QWEN_CODE_SIMPLE = "QWEN_CODE_SIMPLE"
QWEN_CODE_STOP_HOOK_BLOCK_CAP = "QWEN_CODE_STOP_HOOK_BLOCK_CAP"
QWEN_CODE = "QWEN_CODE"
"""Set for the child processes of a session, as Node Qwen Code sets it."""
BROWSER = "BROWSER"
EDITOR = "EDITOR"
VISUAL = "VISUAL"
DEBUG = "DEBUG"
DEBUG_MODE = "DEBUG_MODE"

REDUCING: Mapping[str, Literal["bare", "safe"]] = {
    QWEN_CODE_SIMPLE: "bare",
    QWEN_CODE_SAFE_MODE: "safe",
}
"""They leave out what was added to the program, see `reduced`; the first one that is on counts."""

USER_ONLY: frozenset[str] = frozenset(
    (
        *(QWEN_HOME, HOME, USERPROFILE),
        *(QWEN_OAUTH_BASE_URL, QWEN_OAUTH_ISSUER, QWEN_OAUTH_CLIENT_ID),
        *(QWEN_OAUTH_SCOPE, QWEN_OAUTH_RESOURCE_URL),
        *(*HTTP_PROXY, *HTTPS_PROXY, *ALL_PROXY, *NO_PROXY, REQUEST_METHOD),
        *(SSL_CERT_FILE, SSL_CERT_DIR, NODE_EXTRA_CA_CERTS, QWEN_CLIENT_CERT, QWEN_CLIENT_KEY),
        *(QWEN_SANDBOX, QWEN_SANDBOX_IMAGE, QWEN_STORE),
        *(QWEN_CODE_SYSTEM_SETTINGS_PATH, QWEN_CODE_SYSTEM_DEFAULTS_PATH),
        QWEN_CODE_TRUSTED_FOLDERS_PATH,
        QWEN_CODE_STOP_HOOK_BLOCK_CAP,
        *REDUCING,  # the user's hooks can guard
        *(BROWSER, EDITOR, VISUAL),  # commands that would be run
    )
)
"""Variables that a project's files can never set: they decide where secrets go or what runs."""

EXCLUDED_FROM_PROJECT_DOTENV = (DEBUG, DEBUG_MODE)
"""Names that a project's plain ``.env`` sets for the project's own program, not for this one."""
