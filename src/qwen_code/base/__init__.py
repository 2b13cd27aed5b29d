"""What every room stands on: errors, secrets, time, files, retries and the one HTTP layer.

Nothing here knows of models, methods or commands, and nothing here imports another room.
"""
