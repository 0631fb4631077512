"""Runs and registered versions in MLflow: knows core, data and provenance."""
