"""Where credentials are kept. A store does not interpret them."""
