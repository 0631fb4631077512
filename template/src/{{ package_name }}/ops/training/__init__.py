"""Fitting, judging, bundling and reproducing: knows everything below it, nothing that serves."""
