"""Floor 1, decisions: people's answers, written append-only into a database of records or of a pool, and read back."""
