"""What is reported of a conversation, as data and in words: no terminal, no click."""
