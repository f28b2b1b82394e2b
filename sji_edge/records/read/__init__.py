"""Records read back while a run may still be writing."""
