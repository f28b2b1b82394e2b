"""Floor 1: board descriptions, alignment by fiducials, crops from frames."""
