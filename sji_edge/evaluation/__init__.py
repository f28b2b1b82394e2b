"""Floor 2: reports and thresholds."""
