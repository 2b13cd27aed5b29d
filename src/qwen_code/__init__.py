"""Qwen Code: a coding agent for the terminal whose heart is authentication."""

__all__ = ["__version__"]

__version__ = "0.1.0"
