"""Tools of other programs: servers of the Model Context Protocol, and what they offer."""
