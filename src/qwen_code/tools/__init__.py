"""What the model may do: read, search, edit and run, within the workspace."""
