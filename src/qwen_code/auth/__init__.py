"""Getting and keeping access to a model: which credential, from where, and why.

For Python programs: :func:`connect` gives the connection that the command line would use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qwen_code.auth.access import Access, connect

__all__ = ["Access", "connect"]


def __getattr__(name: str) -> Any:
    """The Python API is imported when it is used; the command line never needs it."""
    if name in __all__:
        from qwen_code.auth import access

        return getattr(access, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
