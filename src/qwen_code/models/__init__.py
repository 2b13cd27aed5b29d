"""Talking with a model: the Chat Completions wire, its stream as events, retries, the client."""
