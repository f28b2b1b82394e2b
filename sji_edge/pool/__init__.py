"""Floor 1, pools: crops of joints with their provenance, kept for people to label and for models to learn from."""
