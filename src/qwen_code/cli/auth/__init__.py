"""``qwen auth …``: one module for each command."""
