"""What every other package uses: errors, secrets, time, files, retries and the HTTP layer.

Nothing here knows about models, methods or commands, or imports another package of qwen.
"""
