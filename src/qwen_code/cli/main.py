"""The entry point of ``qwen``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and end the process with its exit code."""
    if sys.argv[1:] in (["--version"], ["-v"]):
        # Scripts ask for the version all the time: nothing else needs to be imported for it.
        from qwen_code import __version__

        sys.stdout.write(f"{__version__}\n")
        return
    from qwen_code.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
