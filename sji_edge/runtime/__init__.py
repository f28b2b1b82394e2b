"""Floor 1: the engine bundle, and one file per backend."""
