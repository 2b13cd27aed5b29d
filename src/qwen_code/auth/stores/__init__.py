"""Where credentials are kept. A store knows nothing of what a credential means."""
