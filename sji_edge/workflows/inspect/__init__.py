"""A stream judged frame by frame."""
