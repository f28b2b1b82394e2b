"""Floor 1: one file per loss or regularizer."""
