"""The locks that the template ships."""
