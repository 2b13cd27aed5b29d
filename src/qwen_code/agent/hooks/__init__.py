"""Hooks: commands, requests and functions that run at fixed points of a session.

Names of events and fields are those of Node Qwen Code. ``events`` is the table of the events,
``entries`` reads settings, ``answers`` reads what a hook says, ``runner`` runs hooks, and
``session`` is what the agent calls. Nothing in here is imported in a session without hooks.
"""
