"""Floor 3: one file per command."""
