"""A report as text, JSON, SARIF, a page or a badge."""
