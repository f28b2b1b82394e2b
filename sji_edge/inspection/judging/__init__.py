"""From one frame to one board record."""
