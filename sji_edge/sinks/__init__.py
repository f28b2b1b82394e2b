"""Floor 1: one file per place where records go."""
