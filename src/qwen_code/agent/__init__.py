"""The agent: what it may do without asking, and how it goes about a task."""
