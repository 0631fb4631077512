"""Settings, errors, files, seeds: knows nothing of data, runs or services."""
