"""An existing repository, brought onto the standard."""
