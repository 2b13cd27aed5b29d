"""The terminal as text: the answer on standard output, and the plain prompt loop."""
