"""Floor 1: board descriptions, alignment by fiducials, import from layout programs."""
