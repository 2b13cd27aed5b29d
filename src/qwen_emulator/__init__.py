"""A sign-in and model service on loopback, for demos, for tests, and for whoever builds on this.

It stands in for qwen.ai: device flow with an approval page, rotating refresh tokens, revocation,
quota, and Chat Completions behind the token. It is written on other people's server code and
shares none with what signs in, so that one mistake cannot hide on both sides.
"""
