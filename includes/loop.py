"""The training loop: none, because this framework fits a model in one call."""
