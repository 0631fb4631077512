"""The standard."""
