"""JSON and lines of JSON, both ways: for programs."""
