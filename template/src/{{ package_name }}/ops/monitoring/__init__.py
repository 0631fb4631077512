"""What served predictions say later: knows training and serving."""
