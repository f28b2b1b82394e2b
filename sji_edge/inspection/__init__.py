"""Floor 2: the loop from frames to verdicts."""
