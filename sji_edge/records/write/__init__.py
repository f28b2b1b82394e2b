"""One file per sink, and what every sink checks before it writes."""
