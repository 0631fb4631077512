"""Many projects: how far each is behind the standard, and updates of them."""
