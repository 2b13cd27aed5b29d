"""Front ends: they connect a conversation to a person or a program. None imports another."""
