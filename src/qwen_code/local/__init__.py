"""The embedded model: weights that are known by their hash, and a server for them on loopback."""
