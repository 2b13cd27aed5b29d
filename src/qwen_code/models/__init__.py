"""Clients of models: the Chat Completions API, its stream as events, retries, quota, fallbacks."""
