"""Answers the reproducibility checklist for any repository."""
