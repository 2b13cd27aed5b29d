"""``qwen update``: how this installation is updated. It changes nothing, and asks no server."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click
import msgspec

from qwen_code import __version__
from qwen_code.base.json_text import decode_json, pretty_json
from qwen_code.fronts.console import say, say_data

_NAME = "qwen-code"


class Installation(msgspec.Struct, frozen=True):
    """How this program was installed, where it is, and the command that updates it."""

    kind: str
    place: str
    command: str


def find_installation(
    prefix: Path, base_prefix: Path, python: str, installer: str, origin: Mapping[str, Any]
) -> Installation:
    """``origin`` is the content of ``direct_url.json`` (PEP 610), which tells what was installed if
    it did not come from an index."""
    url = str(origin.get("url", ""))
    folder = unquote(urlsplit(url).path) if url.startswith("file:") else ""
    if folder and origin.get("dir_info", {}).get("editable"):
        command = f"git -C {shlex.quote(folder)} pull && make -C {shlex.quote(folder)} setup"
        return Installation("checkout", folder, command)
    place = str(prefix)
    if (prefix / "uv-receipt.toml").exists():
        return Installation("uv tool", place, f"uv tool upgrade {_NAME}")
    if (prefix / "pipx_metadata.json").exists():
        return Installation("pipx", place, f"pipx upgrade {_NAME}")
    wanted = shlex.quote(_requirement(origin, url))
    if installer == "uv":
        command = f"uv pip install --python {shlex.quote(python)} --upgrade {wanted}"
    else:
        command = f"{shlex.quote(python)} -m pip install --upgrade {wanted}"
    kind = "virtual environment" if prefix != base_prefix else "system"
    return Installation(kind, place, command)


def _requirement(origin: Mapping[str, Any], url: str) -> str:
    """What pip installed, so that the same source is asked again (PEP 508)."""
    if not url:
        return _NAME
    version_control = origin.get("vcs_info", {})
    if name := version_control.get("vcs"):
        revision = version_control.get("requested_revision")
        url = f"{name}+{url}" + (f"@{revision}" if revision else "")
    return f"{_NAME} @ {url}"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def update(as_json: bool) -> None:
    """Say how this installation of qwen is updated.

    Nothing is changed, and no server is asked: run the command that it prints.
    """
    found = _here()
    if as_json:
        data = {"version": __version__, **msgspec.structs.asdict(found)}
        say_data(pretty_json(data).decode())
        return
    say(f"qwen {__version__}, installed as {found.kind} in {found.place}")
    say(f"To update it: {found.command}")


def _here() -> Installation:
    installer, origin = "", {}
    try:
        files = metadata.distribution(_NAME)
        installer = (files.read_text("INSTALLER") or "").strip()
        origin = decode_json(files.read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        pass  # run from its sources, or by something that keeps no record
    if not installer and not origin:
        root = Path(__file__).parents[3]
        if os.path.lexists(root / ".git"):
            origin = {"url": root.as_uri(), "dir_info": {"editable": True}}
    prefix, base = Path(sys.prefix), Path(sys.base_prefix)
    return find_installation(prefix, base, sys.executable, installer, origin)
