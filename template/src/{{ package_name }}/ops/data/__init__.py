"""Reading, checking, splitting and describing tables: knows core."""
