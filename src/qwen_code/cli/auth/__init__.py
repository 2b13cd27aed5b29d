"""``qwen auth …``: one module a command."""
