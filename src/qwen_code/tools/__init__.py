"""Tools that the model can call: read, search, edit and run, within the workspace."""
