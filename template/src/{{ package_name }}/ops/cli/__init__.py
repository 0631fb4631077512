"""The command line: knows everything, and nothing knows it."""
