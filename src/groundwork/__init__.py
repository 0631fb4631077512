"""The tools that keep the Groundwork template."""
