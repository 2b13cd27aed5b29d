"""Variables, files and settings: what is configured, and who configured it."""
