"""Make recipes from pick-and-place data."""
