"""Checks of any ML repository: can it be rebuilt, exactly, tested, deployed and rolled back."""
