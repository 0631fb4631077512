"""What an organisation's catalog offers of the template."""
