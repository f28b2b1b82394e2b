"""Floor 1: escape and false-call rates with their intervals; NumPy only."""
