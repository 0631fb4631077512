"""Releases and where they run: knows everything but the command line."""
