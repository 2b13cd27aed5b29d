"""A sign-in and model service on loopback, for demos, tests, and programs that use ``qwen``.

It emulates qwen.ai: device flow with an approval page, rotating refresh tokens, revocation,
quota, and Chat Completions behind the token. Its protocol code is third-party and shares nothing
with the client, so the same mistake cannot be on both sides.
"""
