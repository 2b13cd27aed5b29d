"""What may be executed without asking: commands, rules, modes, and the decision about a call."""
