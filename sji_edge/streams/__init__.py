"""Floor 1: one file per source of frames."""
