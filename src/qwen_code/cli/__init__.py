"""The command line: one thin module for each command group, imported only when it is used."""
