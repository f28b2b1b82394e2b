"""Floor 2½: comparing ways to train; it drives training, so it stands above it."""
