"""The command line: one module a command group, each thin, each imported only when it is used."""
