"""The agent: how it works on a task, and what it may do without asking."""
