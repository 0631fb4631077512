"""Everything that is not the standard: see README.md."""
