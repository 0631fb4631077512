"""What a run is made of, from commit to digest: knows core and data."""
