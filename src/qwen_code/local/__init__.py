"""The embedded model: weights, identified by their hash, and a server for them on loopback."""
